/**
 * `npm run faults:mutants`: a harness that cannot fail proves nothing. Each guard of `mutations.ts` is switched off in a
 * copy of the tree, never in the product, and the harness has to fail there, on every seed, by the invariant named
 * for it. The first row is the control: nothing is switched off, and nothing may fail.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type Edit, type Mutation, mutations } from './mutations.ts'
import { ROOT } from './servers.ts'

const USAGE = `npm run faults:mutants -- [OPTION]…

Switches off one guard of the product after another, in a copy of the tree, and shows that the fault runs notice.

  --only TEXT      guards whose name contains this
  --seeds 1,2,3    each guard is tried with each of these
  --minutes 0.3    for guards that do not ask for a time of their own
  --at-once 1      guards tried side by side
`

const known = {
  only: { type: 'string', default: '' },
  seeds: { type: 'string', default: '1,2,3' },
  minutes: { type: 'string', default: '0.3' },
  'at-once': { type: 'string', default: '1' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const options = () => {
  try {
    return parseArgs({ options: known }).values
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`)
    return process.exit(2)
  }
}
const values = options()
if (values.help) {
  process.stdout.write(USAGE)
  process.exit(0)
}
const seeds = values.seeds.split(',').map(Number)
const say = (text: string): void => void process.stdout.write(`${text}\n`)

const control: Omit<Mutation, 'breaks'> & { readonly breaks: null } = {
  guard: 'nothing is switched off',
  edits: [],
  kinds: [...new Set(mutations.flatMap(({ kinds }) => kinds))],
  minutes: Math.max(Number(values.minutes), ...mutations.map(({ minutes = 0 }) => minutes)),
  breaks: null,
}
type Case = Mutation | typeof control

const copied = new Set<string>()
const running = new Set<ReturnType<typeof spawn>>()

const editIn = async (tree: string, { file, find, replace }: Edit): Promise<void> => {
  const path = join(tree, file)
  const text = await readFile(path, 'utf8')
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${find}`)
  await writeFile(path, parts.join(replace))
}

/** The files that git knows or would take, as they are now, beside the installed packages of this tree. */
const copyOf = async (edits: readonly Edit[]): Promise<string> => {
  await mkdir(join(ROOT, '.faults'), { recursive: true })
  const tree = await mkdtemp(join(ROOT, '.faults/mutant-'))
  copied.add(tree)
  const listed = await promisify(execFile)('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
  })
  for (const file of listed.stdout.split('\n').filter((name) => name !== '' && !name.startsWith('docs/'))) {
    await mkdir(dirname(join(tree, file)), { recursive: true })
    await cp(join(ROOT, file), join(tree, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error // removed, and not committed yet
    })
  }
  await symlink(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  for (const edit of edits) await editIn(tree, edit)
  return tree
}

type Verdict = { readonly seed: number; readonly found: string; readonly asExpected: boolean; readonly line: string }

const runIn = async (
  tree: string,
  { kinds, breaks, paceMs = 100, intervals = 'short', minutes = Number(values.minutes) }: Case,
  seed: number,
): Promise<Verdict> => {
  const child = spawn(
    process.execPath,
    [
      join(tree, 'scripts/faults/main.ts'),
      ...['--seed', String(seed), '--minutes', String(minutes), '--kinds', kinds.join(',')],
      ...['--replicas', '2', '--agents', '2', '--fault-pace', '300-900', '--pace', String(paceMs), '--keep', 'none'],
      ...['--intervals', intervals],
    ],
    { cwd: tree, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  running.add(child)
  let output = ''
  let findings = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    findings = (findings + text).slice(0, 10_000)
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [status] = (await once(child, 'close')) as [number | null]
  running.delete(child)
  const line = output.trim().split('\n').at(-1) ?? ''
  const found = [...line.matchAll(/; (lost|doubled|reordered|stale|stuck|capacity|foreign|destroyed) ([1-9]\d*)/g)]
    .map(([, kind, count]) => `${kind} ${count}`)
    .join(', ')
  const asExpected = breaks === null ? status === 0 : status === 1 && found.split(/,? /).includes(breaks)
  const told = asExpected || findings === '' ? line : `${findings.trim()}\n  ${line}`
  return { seed, found: found === '' ? (line === '' ? 'broke' : 'nothing') : found, asExpected, line: told }
}

const runCase = async (one: Case): Promise<{ readonly row: string; readonly asExpected: boolean }> => {
  const tree = await copyOf(one.edits)
  const verdicts: Verdict[] = []
  for (const seed of seeds) {
    const verdict = await runIn(tree, one, seed)
    verdicts.push(verdict)
    say(
      `${one.guard}, seed ${seed}: ${verdict.asExpected ? 'as expected' : 'NOT AS EXPECTED'}: ${verdict.found}\n  ${verdict.line}`,
    )
  }
  await rm(tree, { recursive: true, force: true })
  copied.delete(tree)
  const asExpected = verdicts.every((verdict) => verdict.asExpected)
  const cells = verdicts.map(({ found, asExpected: ok }) => (ok ? found : `**${found}**`))
  return { row: `| ${one.guard} | ${one.breaks ?? 'nothing'} | ${cells.join(' | ')} |`, asExpected }
}

const clean = async (): Promise<void> => {
  for (const child of running) child.kill('SIGTERM')
  await Promise.all([...running].map((child) => once(child, 'close')))
  for (const tree of copied) await rm(tree, { recursive: true, force: true })
}

let stopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (stopped) return
    stopped = true
    void clean().then(() => process.exit(128 + constants.signals[signal]))
  })

const cases: readonly Case[] = [control, ...mutations].filter(({ guard }) => guard.includes(values.only))
const rows: string[] = cases.map(() => '')
let failed = 0
const waiting = cases.map((one, at) => ({ one, at }))
const worker = async (): Promise<void> => {
  for (let next = waiting.shift(); next !== undefined && !stopped; next = waiting.shift()) {
    const { row, asExpected } = await runCase(next.one)
    rows[next.at] = row
    if (!asExpected) failed += 1
  }
}
await Promise.all(Array.from({ length: Number(values['at-once']) }, worker))
say(`\n| switched off | must break | ${seeds.map((seed) => `seed ${seed}`).join(' | ')} |`)
say(`| --- | --- |${seeds.map(() => ' --- |').join('')}`)
for (const row of rows) say(row)
say(`\n${cases.length - failed} of ${cases.length} as expected`)
process.exitCode = failed > 0 ? 1 : 0
