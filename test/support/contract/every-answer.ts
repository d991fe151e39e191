/**
 * Every answer of every server of a run is held against the OpenAPI document: of those in this process, and of those that tests
 * start (`record-answers.ts`). A run in which one is otherwise fails at its end, and names the tests. Loaded by every run
 * (.mocharc.json).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEndOfRun } from '../end-of-run.ts'
import type { Contract, Document, Said } from './contract.ts'
import { watchAnswers } from './watch-answers.ts'

const folder = mkdtempSync(join(tmpdir(), 'streamspace-contract-'))
const file = join(folder, 'answers')
process.env.STREAMSPACE_TEST_CONTRACT = file
atEndOfRun(async () => rmSync(folder, { recursive: true, force: true }))

const saidHere: Said[] = []
watchAnswers((said) => void saidHere.push(said))

/** Up to where the file was read. */
let place = 0
const NEWLINE = 0x0a

/** What other processes have written since; of a line that is being written nothing yet. */
async function* saidElsewhere(): AsyncGenerator<Said> {
  const handle = await open(file).catch(() => null)
  if (handle === null) return
  try {
    let begun: Buffer[] = []
    for await (const chunk of handle.createReadStream({ start: place, autoClose: false }) as AsyncIterable<Buffer>) {
      let from = 0
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        const line = Buffer.concat([...begun, chunk.subarray(from, end)])
        begun = []
        from = end + 1
        place += line.length + 1
        yield JSON.parse(line.toString('utf8'))
      }
      begun.push(chunk.subarray(from))
    }
  } finally {
    await handle.close()
  }
}

/** Loaded with the first answer: most runs of a few tests never have one. */
let loading: Promise<Contract> | undefined
const contract = (): Promise<Contract> => {
  loading ??= Promise.all([
    import('./contract.ts'),
    import('../../../src/api/openapi.ts'),
    import('../../../src/version.ts'),
  ]).then(([{ createContract }, { openApiDocument }, { version }]) =>
    createContract(openApiDocument(version) as unknown as Document),
  )
  return loading
}

/** By what is wrong: one of each is shown, and how many there were. */
const found = new Map<string, { readonly example: string; count: number }>()

const judge = async (said: Said, during: string): Promise<void> => {
  const complaints = (await contract()).check(said)
  if (complaints.length === 0) return
  const { method, url, status, body } = said
  const wrong = `${method} ${status}: ${complaints.join('; ')}`
  const before = found.get(wrong)
  if (before !== undefined) before.count += 1
  else found.set(wrong, { example: `during "${during}": ${method} ${url}\n    ${body?.slice(0, 400) ?? ''}`, count: 1 })
}

const collect = async (during: string): Promise<void> => {
  for (const said of saidHere.splice(0)) await judge(said, during)
  for await (const said of saidElsewhere()) await judge(said, during)
}

export const mochaHooks = {
  async afterEach(this: Mocha.Context): Promise<void> {
    await collect(this.currentTest?.fullTitle() ?? '')
  },
  // Thrown here only: a hook of every suite that fails ends the run.
  async afterAll(): Promise<void> {
    await collect('the end of the run')
    if (found.size === 0) return
    const shown = [...found].slice(0, 20).map(([wrong, { example, count }]) => `${count} × ${wrong}\n    ${example}`)
    throw new Error(`answers are not as the OpenAPI document says:\n${shown.join('\n')}`)
  },
}
