import { processUnderTest } from './process.ts'
import { conformance } from './suite.ts'

conformance(processUnderTest)
