import { kubernetesUnderTest } from './kubernetes.ts'
import { conformance } from './suite.ts'

conformance(kubernetesUnderTest)
