/**
 * `npm run bench`: measures the product against the bars it was built to, on a database and a server of its own.
 *
 *   node scripts/bench/main.ts [measure …] [--json file] [--quick] [--profile directory]
 *
 * Without names, all measures, one after another. A missed bar is shown, and is no failure of this program: exit
 * status 1 means that something could not be measured.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createEndings, type Endings } from './bench.ts'
import { ROOT } from './installation.ts'
import { machineLines, machineOf } from './machine.ts'
import { machineUse, usedByOthers } from './machine-use.ts'
import { type Line, type Measure, type Measured, NotHere, verdictOf } from './measure.ts'
import { measures } from './measures/all.ts'
import { tableOf } from './table.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const complain = (text: string): void => void process.stderr.write(`${text}\n`)

const isCalled =
  (name: string) =>
  (measure: Measure): boolean =>
    measure.name === name || measure.groups?.includes(name) === true
const groups = [...new Set(measures.flatMap((measure) => measure.groups ?? []))]

const usage = (): string =>
  [
    'npm run bench -- [measure …] [--json file] [--quick] [--profile directory]',
    '',
    ...measures.map(({ name, about }) => `  ${name.padEnd(22)} ${about}`),
    '',
    `  Several together: ${groups.join(', ')}`,
    '',
    '  --json file            where the figures go as JSON (default: .bench/latest.json)',
    '  --quick                a fifth of the time: shows that everything works; its figures count for nothing',
    '  --profile directory    CPU profiles of the server, the agents and the floors; they cost a few percent',
  ].join('\n')

const readArguments = () => {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string', default: join(ROOT, '.bench/latest.json') },
        quick: { type: 'boolean', default: false },
        profile: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    const unknown = positionals.filter((name) => !measures.some(isCalled(name)))
    if (unknown.length > 0) throw new Error(`no such measure: ${unknown.join(', ')}`)
    return { ...values, names: positionals }
  } catch (error) {
    complain(`${(error as Error).message}\n\n${usage()}`)
    process.exit(2)
  }
}

const options = readArguments()
if (options.help) {
  say(usage())
  process.exit(0)
}
const chosen =
  options.names.length === 0
    ? measures
    : measures.filter((measure) => options.names.some((name) => isCalled(name)(measure)))
const profiles = options.profile === undefined ? null : resolve(options.profile)
if (profiles !== null) await mkdir(profiles, { recursive: true })
await mkdir(join(ROOT, '.bench'), { recursive: true })
const directory = await mkdtemp(join(ROOT, '.bench/run-'))

let running: Endings | null = null
let stoppedBy: NodeJS.Signals | null = null
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    // A terminal's Ctrl-C comes from the terminal and again from npm.
    if (stoppedBy !== null) return
    stoppedBy = signal
    complain(`${signal}: stopping`)
    void running?.endAll()
  })

/** More than this, and the figures are about what else ran. */
const OTHERS_AT_MOST_PERCENT = 10

const withOthers = (measured: Measured, percent: number | null): Measured => ({
  ...measured,
  details: { ...measured.details, usedByOthersPercent: percent },
  doubts: [
    ...measured.doubts,
    ...(percent === null || percent <= OTHERS_AT_MOST_PERCENT
      ? []
      : [`others used ${percent}% of the cores meanwhile: measure again when nothing else runs`]),
  ],
})

const runOne = async (measure: Measure): Promise<Measured> => {
  const endings = createEndings((what, error) => complain(`${what} did not end in order: ${(error as Error).message}`))
  running = endings
  const files = join(directory, measure.name)
  await mkdir(files)
  const before = machineUse()
  try {
    const scale = options.quick ? 0.2 : 1
    const measured = await measure.run({ directory: files, scale, profiles, say, ends: endings.add })
    return withOthers(measured, usedByOthers(before, machineUse()))
  } finally {
    await endings.endAll()
    running = null
    await rm(files, { recursive: true, force: true })
  }
}

type Outcome = { readonly measure: Measure; readonly measured: Measured }
const outcomes: Outcome[] = []
const failed: string[] = []
const notHere: string[] = []
const date = new Date()
const machine = machineOf(directory)
say(`${date.toISOString()}${options.quick ? '   QUICK: these figures count for nothing' : ''}`)
for (const line of machineLines(machine)) say(line)
say('')

for (const measure of chosen) {
  if (stoppedBy !== null) break
  const began = performance.now()
  try {
    const measured = await runOne(measure)
    outcomes.push({ measure, measured })
    say(`${measure.name}: ${((performance.now() - began) / 1_000).toFixed(0)} s`)
    for (const doubt of measured.doubts) say(`  DOUBTFUL: ${doubt}`)
  } catch (error) {
    if (stoppedBy !== null) break
    if (error instanceof NotHere) {
      notHere.push(`${measure.name}: ${error.message}`)
      continue
    }
    failed.push(measure.name)
    complain(`${measure.name} could not be measured: ${(error as Error).stack}`)
  }
}
await rm(directory, { recursive: true, force: true })

const lines: readonly Line[] = outcomes.flatMap(({ measured }) => measured.lines)
if (lines.length > 0) say(`\n${tableOf(lines)}\n`)
const postgres = outcomes.find(({ measured }) => measured.postgres !== undefined)?.measured.postgres ?? null
if (postgres !== null)
  say(
    `PostgreSQL: ${Object.entries(postgres)
      .map(([name, setting]) => `${name} ${setting}`)
      .join(', ')}`,
  )
const doubts = outcomes.flatMap(({ measure, measured }) => measured.doubts.map((doubt) => `${measure.name}: ${doubt}`))
for (const doubt of doubts) say(`DOUBTFUL  ${doubt}`)
for (const why of notHere) say(`NOT HERE  ${why}`)
for (const name of failed) say(`FAILED    ${name}`)

/** An interrupted run does not take the place of a whole one. */
const interrupted = stoppedBy !== null
const report = {
  date: date.toISOString(),
  quick: options.quick,
  machine,
  postgres,
  measures: outcomes.map(({ measure, measured }) => ({
    name: measure.name,
    about: measure.about,
    lines: measured.lines.map((line) => ({ ...line, verdict: verdictOf(line) })),
    details: measured.details,
    doubts: measured.doubts,
  })),
  notHere,
  failed,
}
if (!interrupted) {
  const json = resolve(options.json)
  await mkdir(dirname(json), { recursive: true })
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  say(`as JSON: ${json}`)
}
const signal = stoppedBy as NodeJS.Signals | null
process.exitCode = signal !== null ? 128 + constants.signals[signal] : failed.length > 0 ? 1 : 0
