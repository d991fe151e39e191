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

const found: string[] = []

const collect = async (during: string): Promise<void> => {
  await allJudged()
  for (const { method, url, status, complaints, body } of told())
    found.push(`during "${during}": ${method} ${url} → ${status}: ${complaints.join('; ')}\n  ${body ?? ''}`)
}

export const mochaHooks = {
  async afterEach(this: Mocha.Context): Promise<void> {
    await collect(this.currentTest?.fullTitle() ?? '')
  },
  // Thrown here only: a hook of every suite that fails ends the run.
  async afterAll(): Promise<void> {
    await collect('the end of the run')
    if (found.length === 0) return
    throw new Error(`${found.length} answers are not as the OpenAPI document says:\n${found.slice(0, 20).join('\n')}`)
  },
}
