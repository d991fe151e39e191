import { processUnderTest } from '../../engines/conformance/process.ts'
import { conformance } from '../../engines/conformance/suite.ts'

conformance(processUnderTest)
