/**
 * A run in which a server answered otherwise than its OpenAPI document says fails at its end, and names the tests. Loaded by
 * every run (.mocharc.json); `watch-answers.ts` does the looking.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEndOfRun } from '../end-of-run.ts'

const folder = mkdtempSync(join(tmpdir(), 'streamspace-contract-'))
const file = join(folder, 'violations')
process.env.STREAMSPACE_TEST_CONTRACT = file
atEndOfRun(async () => rmSync(folder, { recursive: true, force: true }))
const { allJudged } = await import('./watch-answers.ts')

type Violation = {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly complaints: readonly string[]
  readonly body?: string
}

const told = (): readonly Violation[] => {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  if (lines.length > 0) truncateSync(file)
  return lines.map((line) => JSON.parse(line))
}

/** By what is wrong: one of each is shown, and how many there were. */
const found = new Map<string, { readonly example: string; count: number }>()

const collect = async (during: string): Promise<void> => {
  await allJudged()
  for (const { method, url, status, complaints, body } of told()) {
    const wrong = `${method} ${status}: ${complaints.join('; ')}`
    const before = found.get(wrong)
    if (before !== undefined) before.count += 1
    else
      found.set(wrong, { example: `during "${during}": ${method} ${url}\n    ${body?.slice(0, 400) ?? ''}`, count: 1 })
  }
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
