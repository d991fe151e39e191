import { dockerUnderTest } from './docker.ts'
import { conformance } from './suite.ts'

conformance(dockerUnderTest)
