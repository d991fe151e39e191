import { kubernetesUnderTest } from '../conformance/kubernetes.ts'
import { conformance } from '../conformance/suite.ts'

conformance(kubernetesUnderTest)
