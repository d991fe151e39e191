/**
 * `npm run check:openapi [-- --against <git reference>]`: whether docs/openapi.json is what the routes say, and what of the
 * document that was committed there (default: HEAD) a client would find broken.
 */
import { parseArgs } from 'node:util'
import { breakingChanges } from './breaking-changes.ts'
import { committedDocument, currentDocument, currentText, writtenText } from './document.ts'

const { against } = parseArgs({ options: { against: { type: 'string', default: 'HEAD' } } }).values
const committed = committedDocument(against)
const broken = committed === null ? [] : breakingChanges(committed, currentDocument())
const isWritten = writtenText() === currentText()

for (const line of broken) console.log(line)
if (broken.length > 0) console.log(`\n${broken.length} things break for clients written against ${against}`)
if (committed === null) console.log(`${against} has no docs/openapi.json to compare with`)
if (!isWritten) console.log('docs/openapi.json is not what the routes say: npm run openapi writes it')
if (broken.length === 0 && isWritten) console.log('docs/openapi.json is up to date, and nothing breaks')
process.exitCode = broken.length > 0 || !isWritten ? 1 : 0
