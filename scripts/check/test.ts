/**
 * `npm test`: everything that must hold before a change is taken.
 *
 *   node scripts/check/test.ts [--only format,types,layers,unit,adapters,agents,e2e,faults,docker,kubernetes] [--per-file]
 *
 * Every stage runs, also after one that failed, so that one run shows everything that is wrong. `--per-file`
 * shows coverage file by file. The last line is always "N passed, N failed, N skipped"; a check that is not a
 * test (format, types, layers, the floor of coverage) counts as one failure when it fails and as nothing when
 * it holds. Exit status 1 when anything failed.
 */
import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Counts, closingLine, noCounts, oneFailure, sum } from './counts.ts'
import { type MochaStage, mochaStages, specsOf } from './mocha-stages.ts'
import { ownNetwork } from './own-network.ts'
import { type MochaProgram, runMocha } from './run-mocha.ts'
import { runProgram } from './run-program.ts'

type How = Pick<MochaProgram, 'output' | 'through' | 'niceness'>
type Stage = { readonly name: string; readonly run: (how?: How) => Promise<Counts> }
type Outcome = { readonly name: string; readonly seconds: number; readonly counts: Counts }

const root = fileURLToPath(new URL('../..', import.meta.url))
const coverageDirectory = join(root, 'coverage/v8')
const options = parseArgs({
  options: { only: { type: 'string' }, 'per-file': { type: 'boolean', default: false } },
}).values

const program = (name: string, command: string, ...args: string[]): Stage => ({
  name,
  run: async () => ((await runProgram({ command, args, cwd: root })) === 0 ? noCounts : oneFailure),
})

const tool = (name: string): string => join(root, 'node_modules/.bin', name)

/** In the others the product runs as it does for people: measuring coverage would slow every process that is started. */
const measured: readonly MochaStage[] = ['unit', 'adapters', 'agents', 'docker']

const mocha = (name: MochaStage): Stage => ({
  name,
  run: (how) =>
    runMocha({
      ...how,
      root,
      specs: specsOf(root, name),
      args: ['--forbid-only'],
      ...(measured.includes(name) ? { coverageDirectory } : {}),
    }),
})

const tests = (Object.keys(mochaStages) as MochaStage[]).map(mocha)

const coverage = program(
  'coverage',
  process.execPath,
  join(root, 'node_modules/c8/bin/c8.js'),
  'report',
  ...(options['per-file'] ? ['--reporter', 'text'] : []),
)

const checks = [
  program('format', tool('biome'), 'ci', '.'),
  program('types', tool('tsc'), '--noEmit'),
  program('layers', process.execPath, join(root, 'scripts/check/layers.ts')),
]

/** A part of the tests says nothing about the coverage of all. */
const chosen = (): readonly Stage[] => {
  const only = options.only?.split(',')
  const all = [...checks, ...tests]
  const stages = all.filter(({ name }) => only?.includes(name) ?? true)
  const unknown = only?.filter((name) => !all.some((stage) => stage.name === name)) ?? []
  if (unknown.length > 0) {
    console.error(`No such stage: ${unknown.join(', ')}. There are: ${all.map((stage) => stage.name).join(', ')}.`)
    process.exit(2)
  }
  const isMeasured = measured.every((name) => stages.some((stage) => stage.name === name))
  return isMeasured ? [...stages, coverage] : stages
}

let interrupted = false
process.on('SIGINT', () => {
  interrupted = true
})
process.on('SIGTERM', () => {
  interrupted = true
})

const timed = async (stage: Stage, how?: How): Promise<Outcome> => {
  const began = performance.now()
  const counts = await stage.run(how)
  const outcome = { name: stage.name, seconds: (performance.now() - began) / 1000, counts }
  console.log(`── ${stage.name}: ${verdict(outcome)}, ${outcome.seconds.toFixed(1)} s`)
  return outcome
}

const alone = async (stage: Stage): Promise<readonly Outcome[]> => {
  console.log(`\n── ${stage.name} ──`)
  return [await timed(stage)]
}

/** In a network of its own: two Docker engines in one would undo each other's rules. */
const OWN_NETWORK = 'docker'
/**
 * Beside the tests of Kubernetes, as those wait most of the time: one step after another, and in each lanes beside each other. Docker's
 * tests want two cores at first and little later, fault runs the other way round; those over HTTP have the most deadlines, and a step of their own.
 */
const beside: readonly (readonly (readonly string[])[])[] = [
  [[OWN_NETWORK], ['faults', 'agents', 'adapters']],
  [['e2e']],
]
/** All of these stand back: a cluster gives up what it cannot serve in time, and they only take longer. */
const NICENESS = 5

const oneAfterAnother = async (
  lane: readonly Stage[],
  through: readonly string[],
  output: number,
): Promise<readonly Outcome[]> => {
  const outcomes: Outcome[] = []
  for (const stage of lane) {
    if (interrupted) break
    const how = { output, niceness: NICENESS, ...(stage.name === OWN_NETWORK ? { through } : {}) }
    outcomes.push(await timed(stage, how))
  }
  return outcomes
}

/** What is said beside it is shown when all is over. */
const sideBySide = async (
  steps: readonly (readonly (readonly Stage[])[])[],
  through: readonly string[],
  kubernetes: Stage,
): Promise<readonly Outcome[]> => {
  const named = steps.flat().map((lane) => ({ lane, names: lane.map(({ name }) => name).join(', ') }))
  console.log(`\n── ${kubernetes.name}, and beside it ${named.map(({ names }) => names).join('; ')} ──`)
  const folder = await mkdtemp(join(tmpdir(), 'streamspace-stages-'))
  const outputs = await Promise.all(named.map(({ names }) => open(join(folder, names.replaceAll(', ', '-')), 'w+')))
  try {
    const stepByStep = async (): Promise<readonly Outcome[]> => {
      const outcomes: Outcome[] = []
      for (const lanes of steps) {
        const run = (lane: readonly Stage[]) =>
          oneAfterAnother(lane, through, (outputs[named.findIndex((one) => one.lane === lane)] as FileHandle).fd)
        outcomes.push(...(await Promise.all(lanes.map(run))).flat())
      }
      return outcomes
    }
    const outcomes = await Promise.all([stepByStep(), timed(kubernetes).then((outcome) => [outcome])])
    for (const { names } of named) {
      console.log(`\n── what was said beside it: ${names} ──`)
      console.log(await readFile(join(folder, names.replaceAll(', ', '-')), 'utf8'))
    }
    return outcomes.flat()
  } finally {
    await Promise.all(outputs.map((output) => output.close()))
    await rm(folder, { recursive: true, force: true })
  }
}

type Step = { readonly stages: readonly Stage[]; readonly run: () => Promise<readonly Outcome[]> }

const steps = (stages: readonly Stage[]): readonly Step[] => {
  const each = (some: readonly Stage[]): readonly Step[] =>
    some.map((stage) => ({ stages: [stage], run: () => alone(stage) }))
  const kubernetes = stages.find(({ name }) => name === 'kubernetes')
  const chosenOf = (names: readonly string[]): readonly Stage[] =>
    names.flatMap((name) => stages.filter((stage) => stage.name === name))
  const steps = beside.map((lanes) => lanes.map(chosenOf).filter((lane) => lane.length > 0))
  const others = steps.flat(2)
  const through = kubernetes === undefined ? null : ownNetwork()
  if (kubernetes === undefined || through === null || others.length === 0) return each(stages)
  const both: Step = { stages: [...others, kubernetes], run: () => sideBySide(steps, through, kubernetes) }
  const rest = stages.filter((stage) => !both.stages.includes(stage))
  return [
    ...each(rest.filter((stage) => stage !== coverage)),
    both,
    ...each(rest.filter((stage) => stage === coverage)),
  ]
}

await rm(coverageDirectory, { recursive: true, force: true })
const outcomes: Outcome[] = []
for (const step of steps(chosen())) {
  if (interrupted) break
  const isWhole = outcomes.every(({ counts }) => counts.skipped === 0)
  if (step.stages.includes(coverage) && !isWhole && !process.env.CI) {
    console.log('\n── coverage: not judged, as some tests were skipped ──')
    continue
  }
  outcomes.push(...(await step.run()))
}

const total = sum([...outcomes.map(({ counts }) => counts), interrupted ? oneFailure : noCounts])
for (const { name, counts } of outcomes)
  for (const failure of counts.failures ?? []) console.log(`\n${name}: ${failure}`)
console.log('')
for (const outcome of outcomes) {
  console.log(`${outcome.name.padEnd(10)} ${outcome.seconds.toFixed(1).padStart(6)} s  ${verdict(outcome)}`)
}
if (interrupted) console.log('interrupted: the stages after this one did not run')
console.log(closingLine(total))
process.exitCode = total.failed > 0 ? 1 : 0

function verdict({ counts }: Outcome): string {
  return counts.passed + counts.failed + counts.skipped === 0 ? 'ok' : closingLine(counts)
}
