import { dockerUnderTest } from '../conformance/docker.ts'
import { conformance } from '../conformance/suite.ts'

conformance(dockerUnderTest)
