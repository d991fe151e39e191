import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { EngineError, engineErrorOf, isFullDisk, isUnreachable } from '../../../agents/docker/engine-error.ts'
import { endedWithEngine, engineStart } from '../../../agents/docker/engine-start.ts'
import { createHealth } from '../../../agents/docker/health.ts'
import { createPatience } from '../../../agents/docker/patience.ts'
import { isOnlyThisOne } from '../../../agents/docker/silent.ts'

const at = (minutes: number): string => new Date(minutes * 60_000).toISOString()
const ended = (startedAt: number, finishedAt: number, exitCode: number) => ({
  startedAt: at(startedAt),
  finishedAt: at(finishedAt),
  exitCode,
})

describe('whether a program ended with its engine', () => {
  const engine = 600 * 60_000
  const cases: readonly [string, Parameters<typeof endedWithEngine>, boolean][] = [
    ['younger than the engine, whatever the code', [engine, ended(601, 602, 137), false], false],
    ['younger, though the engine was away: it hung', [engine, ended(601, 602, 0), true], false],
    ['older, while it was watched', [engine, ended(10, 599, 3), true], true],
    ['older, as it was found: a loss of power', [engine, ended(10, 601, 255), false], true],
    ['older, obeyed well hours before', [engine, ended(10, 300, 0), false], true],
    ['older, killed hours before', [engine, ended(10, 300, 137), false], true],
    ['older, failed hours before', [engine, ended(10, 300, 3), false], false],
    ['older, failed in the last minute', [engine, ended(10, 599.5, 3), false], true],
    ['an engine of which nothing is known, watched', [null, ended(10, 300, 3), true], true],
    ['an engine of which nothing is known, not watched', [null, ended(10, 300, 137), false], false],
    ['gone, and watched', [engine, null, true], true],
    ['gone', [engine, null, false], false],
  ]
  for (const [what, given, verdict] of cases)
    it(`${what}: ${verdict ? 'yes' : 'no'}`, () => expect(endedWithEngine(...given)).to.equal(verdict))

  it('is asked of the later of its network and its socket, as far as there are any', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'engine-start-'))
    const socket = join(folder, 'sock')
    writeFileSync(socket, '')
    utimesSync(socket, 120, 120)
    try {
      expect(await engineStart(at(1), socket)).to.equal(120_000)
      expect(await engineStart(at(3), socket)).to.equal(180_000)
      expect(await engineStart(undefined, socket)).to.equal(120_000)
      expect(await engineStart(at(1), join(folder, 'none'))).to.equal(60_000)
      expect(await engineStart(undefined, undefined)).to.equal(null)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('why an engine cannot be used', () => {
  it('is the worst of what is amiss, and told when it changes', () => {
    const told: (string | null)[] = []
    const health = createHealth({ degraded: (why) => void told.push(why) })
    health.well('engine')
    health.unwell('disk', 'full')
    health.unwell('engine', 'gone')
    health.unwell('engine', 'gone')
    health.well('disk')
    health.unwell('disk', 'full again')
    health.well('engine')
    health.unwell('owner', 'another')
    health.well('disk')
    expect(told).to.deep.equal(['full', 'gone', 'full again', 'another'])
  })

  it('is said with what to do', () => {
    expect(engineErrorOf(new Error('connect EACCES /run/docker.sock')).message).to.include('the group docker')
    expect(engineErrorOf(new Error('connect ENOENT /run/docker.sock')).message).to.include('DOCKER_HOST')
    expect(engineErrorOf({ statusCode: 500, json: { message: 'EACCES' } }).message).to.equal('EACCES')
  })

  it('is its disk only where that is the end of its words', () => {
    for (const words of [
      'no space left on device',
      'write /x: no space left on device.',
      'a: disk quota exceeded: unknown',
    ])
      expect(isFullDisk(new EngineError(words, 500)), words).to.equal(true)
    expect(isFullDisk(new EngineError('exec: "no space left on device": not found', 400))).to.equal(false)
  })
})

describe('patience with an engine', () => {
  it('ends for all that wait, and for all that come, until there is a new one', async () => {
    const patience = createPatience(60_000)
    const waiting = patience.during(() => new Promise(() => {}))
    patience.giveUp('it hangs')
    const [late] = await Promise.allSettled([waiting])
    const [next] = await Promise.allSettled([patience.during(async () => 1)])
    for (const one of [late, next]) {
      expect(one?.status).to.equal('rejected')
      expect(isUnreachable((one as PromiseRejectedResult).reason)).to.equal(true)
    }
    patience.resume()
    // Whether it answers for others is not asked once nobody waits for it any more: an agent that ends would wait for that.
    const unasked = { ping: () => Promise.resolve() }
    for (const one of [late, next])
      expect(await isOnlyThisOne(unasked, (one as PromiseRejectedResult).reason)).to.equal(false)
    expect(await patience.during(async () => 1)).to.equal(1)
  })

  it('has an end of its own', async () => {
    const [late] = await Promise.allSettled([createPatience(5).during(() => new Promise(() => {}))])
    expect((late as PromiseRejectedResult).reason).to.have.property('message', 'the engine did not answer in time')
  })
})
