/** `npm run faults`: tries to break the promise of delivery. `docs/delivery-proof.md` says how. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { createEndings } from '../bench/bench.ts'
import { lineOf } from './line.ts'
import { type Asked, readOptions, usage, WrongOption } from './options.ts'
import { type Progress, type Report, runFaults } from './run.ts'
import { ROOT } from './servers.ts'

const complain = (text: string): void => void process.stderr.write(`${text}\n`)

const asked = ((): Asked => {
  try {
    const options = readOptions(process.argv.slice(2), Math.floor(Math.random() * 2 ** 32))
    if (options !== 'help') return options
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  } catch (error) {
    complain(`${(error as Error).message}\n${error instanceof WrongOption ? '' : `\n${usage}`}`)
    process.exit(2)
  }
})()

const MOST_SHOWN = 20

/** On the disk of the checkout: a /tmp in memory has no fsync. */
await mkdir(join(ROOT, '.faults'), { recursive: true })
const directory = await mkdtemp(join(ROOT, '.faults/run-'))
const endings = createEndings((what, error) => complain(`${what} did not end in order: ${(error as Error).message}`))
endings.add('the files', () => rm(directory, { recursive: true, force: true }))

let stoppedBy: NodeJS.Signals | null = null
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    // A terminal's Ctrl-C comes from the terminal and again from npm.
    if (stoppedBy !== null) return
    stoppedBy = signal
    complain(`${signal}: stopping`)
    void endings.endAll().then(() => process.exit(128 + constants.signals[signal]))
  })

const seconds = (ms: number): string => String(Math.round(ms / 1_000))
/** On a terminal one line that changes, elsewhere (a log, CI) one a minute. */
let toldAtMs = 0
const progress: Progress = ({ what, doneMs, ofMs, commands, faults }) => {
  const line = `${what} ${seconds(doneMs)}/${seconds(ofMs)} s, ${commands} commands, ${faults} faults`
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
  else if (performance.now() - toldAtMs > 60_000) {
    toldAtMs = performance.now()
    complain(line)
  }
}

const keep = async (report: Report): Promise<void> => {
  if (asked.keepIn === null) return
  await mkdir(asked.keepIn, { recursive: true })
  const path = join(asked.keepIn, `${asked.run.seed}.json`)
  const findings = report.findings.slice(0, MOST_SHOWN)
  await writeFile(path, `${JSON.stringify({ run: asked.run, findings }, null, 2)}\n`)
  complain(`kept as ${path}`)
}

const tell = async (report: Report): Promise<void> => {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  for (const { kind, session, what } of report.findings.slice(0, MOST_SHOWN))
    complain(`${kind}: ${session ?? ''} ${what}`)
  if (report.findings.length > MOST_SHOWN) complain(`… and ${report.findings.length - MOST_SHOWN} more`)
  for (const line of report.evidence) complain(line)
  if (report.findings.length > 0) await keep(report)
  process.stdout.write(`${lineOf(asked.run, report)}\n`)
}

let status = 1
try {
  const report = await runFaults({ options: asked.run, directory, ends: endings.add, progress })
  await tell(report)
  status = report.findings.length > 0 ? 1 : 0
} catch (error) {
  if (stoppedBy === null) complain(`the run broke (seed ${asked.run.seed}): ${(error as Error).stack}`)
} finally {
  if (stoppedBy === null) {
    await endings.endAll()
    process.exit(status)
  }
}
