/** Runs mocha in a process of its own and reads its counts. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Counts, noCounts, oneFailure } from './counts.ts'
import { runProgram } from './run-program.ts'

export type MochaRun = {
  readonly root: string
  readonly specs: readonly string[]
  /** Further arguments for mocha. */
  readonly args: readonly string[]
  /** Where V8 writes coverage of mocha and of the Node processes that tests start with this environment. */
  readonly coverageDirectory?: string
  readonly quiet?: boolean
}

/** A mocha that died before its end counts as one failure: nobody knows how many tests it did not run. */
export const runMocha = async ({ root, specs, args, coverageDirectory, quiet = false }: MochaRun): Promise<Counts> => {
  if (specs.length === 0) return noCounts
  const directory = await mkdtemp(join(tmpdir(), 'streamspace-counts-'))
  const countsFile = join(directory, 'counts.json')
  try {
    const status = await runProgram({
      command: process.execPath,
      args: [
        join(root, 'node_modules/mocha/bin/mocha.js'),
        ...['--reporter', join(root, 'scripts/check/counting-reporter.ts')],
        ...['--reporter-option', `counts=${countsFile}`],
        ...args,
        ...specs,
      ],
      cwd: root,
      env: coverageDirectory ? { ...process.env, NODE_V8_COVERAGE: coverageDirectory } : process.env,
      quiet,
    })
    return judged(await readCounts(countsFile), status)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const readCounts = async (file: string): Promise<Counts | undefined> =>
  readFile(file, 'utf8').then(
    (text) => JSON.parse(text) as Counts,
    () => undefined,
  )

/** Counts without a failure and a status that says failure: something outside of a test went wrong. */
const judged = (counts: Counts | undefined, status: number): Counts => {
  if (counts === undefined) return oneFailure
  return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}
