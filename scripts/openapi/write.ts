/**
 * `npm run openapi [-- --breaking]`: writes docs/openapi.json. What breaks clients is written only when it is said to be meant;
 * the changelog then has to tell them.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { breakingChanges } from './breaking-changes.ts'
import { committedDocument, currentDocument, currentText, documentFile } from './document.ts'

const { breaking } = parseArgs({ options: { breaking: { type: 'boolean', default: false } } }).values
const committed = committedDocument('HEAD')
const broken = committed === null ? [] : breakingChanges(committed, currentDocument())
for (const line of broken) console.log(line)
if (broken.length > 0 && !breaking) {
  console.log('\nClients would break: not written. npm run openapi -- --breaking writes it all the same.')
  process.exitCode = 1
} else {
  writeFileSync(documentFile, currentText())
  console.log('docs/openapi.json is written')
}
