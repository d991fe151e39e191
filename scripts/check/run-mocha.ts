/** Runs mocha, in a process of its own or in this one, and reads its counts. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Counts, noCounts, oneFailure } from './counts.ts'
import { type Program, runProgram } from './run-program.ts'

export type MochaRun = {
  readonly root: string
  readonly specs: readonly string[]
  /** Further arguments for mocha. */
  readonly args: readonly string[]
}

export type MochaProgram = MochaRun &
  Pick<Program, 'output' | 'niceness'> & {
    /** Where V8 writes coverage of mocha and of the Node processes that tests start with this environment. */
    readonly coverageDirectory?: string
    /** A program that runs it, such as one that gives it a network of its own. */
    readonly through?: readonly string[]
  }

/** A mocha that died before its end counts as one failure: nobody knows how many tests it did not run. */
export const runMocha = async ({
  coverageDirectory,
  output,
  niceness,
  through = [],
  ...run
}: MochaProgram): Promise<Counts> => {
  if (run.specs.length === 0) return noCounts
  const prepared = prepare(run)
  try {
    const [command = process.execPath, ...args] = [...through, process.execPath, ...prepared.args]
    const status = await runProgram({
      command,
      args,
      cwd: run.root,
      env: coverageDirectory ? { ...process.env, NODE_V8_COVERAGE: coverageDirectory } : process.env,
      ...(output === undefined ? {} : { output }),
      ...(niceness === undefined ? {} : { niceness }),
    })
    return prepared.counts(status)
  } finally {
    prepared.forget()
  }
}

/**
 * For people who wait for it: a process less. This process becomes mocha and ends as it does; when it ends,
 * `done` is told the counts.
 */
export const becomeMocha = async (run: MochaRun, done: (counts: Counts) => void): Promise<void> => {
  const prepared = prepare(run)
  process.on('exit', (status) => {
    const counts = prepared.counts(status)
    prepared.forget()
    done(counts)
  })
  process.argv.splice(1, process.argv.length, ...prepared.args)
  await import(prepared.args[0])
}

const prepare = ({ root, specs, args }: MochaRun) => {
  const directory = mkdtempSync(join(tmpdir(), 'streamspace-counts-'))
  const countsFile = join(directory, 'counts.json')
  return {
    args: [
      join(root, 'node_modules/mocha/bin/mocha.js'),
      ...['--reporter', join(root, 'scripts/check/counting-reporter.ts')],
      ...['--reporter-option', `counts=${countsFile}`],
      ...args,
      ...specs,
    ] as const,
    counts: (status: number): Counts => judged(readCounts(countsFile), status),
    forget: (): void => rmSync(directory, { recursive: true, force: true }),
  }
}

const readCounts = (file: string): Counts | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

/** Counts without a failure and a status that says failure: something outside of a test went wrong. */
const judged = (counts: Counts | undefined, status: number): Counts => {
  if (counts === undefined) return oneFailure
  return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}
