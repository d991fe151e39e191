/**
 * One kind of tests, without coverage and without the checks around it.
 *
 *   node scripts/check/mocha-stage.ts <unit|adapters|agents|e2e|faults|docker|kubernetes> [mocha arguments] [test files instead of all]
 */
import { fileURLToPath } from 'node:url'
import { closingLine } from './counts.ts'
import { isMochaStage, mochaStages, specsOf } from './mocha-stages.ts'
import { becomeMocha } from './run-mocha.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [stage = '', ...given] = process.argv.slice(2)
if (!isMochaStage(stage)) {
  console.error(`Which tests? Say one of: ${Object.keys(mochaStages).join(', ')}.`)
  process.exit(2)
}

const files = given.filter((argument) => argument.endsWith('.test.ts'))
const args = given.filter((argument) => !files.includes(argument))
if (process.env.CI) args.push('--forbid-only')

await becomeMocha({ root, specs: files.length > 0 ? files : specsOf(root, stage), args }, (counts) => {
  console.log(closingLine(counts))
  process.exitCode = counts.failed > 0 ? 1 : 0
})
