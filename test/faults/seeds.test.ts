/** Fault runs as `npm run faults` makes them: several seeds, each kept seed again, and an end in the middle. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { processTimes } from '../../scripts/bench/processes.ts'
import { eventually } from '../support/eventually.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const KEPT = join(ROOT, 'test/faults/seeds')
/** Starting takes seconds, waiting for convergence at most its bound. */
const LONGEST_MS = 240_000

const alive = new Set<ChildProcess>()
const faults = (...args: readonly string[]): ChildProcess => {
  const child = spawn(process.execPath, [join(ROOT, 'scripts/faults/main.ts'), ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  alive.add(child)
  void once(child, 'close').then(() => alive.delete(child))
  return child
}

const over = async (child: ChildProcess): Promise<{ readonly status: number | null; readonly output: string }> => {
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, output }
}

const descendants = (of: number): readonly number[] => {
  const all = processTimes()
  const found = new Set([of])
  for (let before = 0; before !== found.size; ) {
    before = found.size
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid)
  }
  found.delete(of)
  return [...found]
}

const runsUnder = (): readonly string[] =>
  readdirSync(ROOT).includes('.faults')
    ? readdirSync(join(ROOT, '.faults')).filter((name) => name.startsWith('run-'))
    : []

describe('nothing is lost, doubled, reordered or stuck', function () {
  this.timeout(LONGEST_MS)
  this.slow(LONGEST_MS)

  afterEach(() => {
    // A test that ran out of time: its run ends in order.
    for (const child of alive) child.kill('SIGTERM')
  })

  for (const seed of [1, 2, 3])
    it(`under the faults of seed ${seed}`, async () => {
      const { status, output } = await over(faults('--seed', String(seed), '--minutes', '0.4'))
      expect(status, output).to.equal(0)
      expect(output).to.match(/^seed \d+; \d+ commands .* lost 0; doubled 0; reordered 0; stale 0; stuck 0; /m)
    })

  for (const name of readdirSync(KEPT).filter((file) => file.endsWith('.json')))
    it(`under the faults that were kept as ${name}`, async () => {
      const { status, output } = await over(faults('--replay', join(KEPT, name)))
      expect(status, output).to.equal(0)
    })

  it('a run that is interrupted leaves no process and no file behind', async () => {
    const before = runsUnder()
    const child = faults('--seed', '5', '--minutes', '5', '--keep', 'none')
    const ended = over(child)
    const started = await eventually(
      () => {
        const pids = descendants(child.pid ?? 0)
        // PostgreSQL with its own processes, three servers, three agents.
        expect(pids.length).to.be.at.least(12)
        return pids
      },
      { within: 60_000 },
    )
    child.kill('SIGINT')
    const { status, output } = await ended
    expect(status, output).to.equal(130)
    await eventually(() => {
      const left = new Set(processTimes().map(({ pid }) => pid))
      expect(started.filter((pid) => left.has(pid))).to.deep.equal([])
    })
    expect(runsUnder().filter((name) => !before.includes(name) && name !== '')).to.deep.equal([])
  })
})
