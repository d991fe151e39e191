import { expect } from 'chai'
import type { CommandFrame, Frame } from '../../../agents/protocol.ts'
import type { Applied, Platform } from '../../../agents/runtime/platform.ts'
import type { Report } from '../../../agents/runtime/report-buffer.ts'
import { createSessionExecutor } from '../../../agents/runtime/session-executor.ts'
import { collectingLog } from '../../support/agents-under-test.ts'
import { aCommand, sessionIdOf } from '../../support/control-plane.ts'
import { eventually } from '../../support/eventually.ts'
import { createLedgerPlatform, type LedgerSettings } from '../../support/ledger-platform.ts'

const connection = 'a connection'

const executorOn = (platform: Pick<Platform, 'held' | 'apply'>, parallel = 16) => {
  const reports: Report[] = []
  const { log, lines } = collectingLog()
  const executor = createSessionExecutor({ platform, parallel, report: (report) => reports.push(report), log })
  const results = (): Frame<'result'>[] => reports.filter((report) => report.type === 'result')
  const resultOf = (command: CommandFrame): Promise<Frame<'result'>> =>
    eventually(() => {
      const found = results().filter((result) => result.commandId === command.commandId)
      if (found.length !== 1) throw new Error(`${found.length} results`)
      return found[0]!
    })
  return { ...executor, reports, lines, results, resultOf }
}

const onLedger = (settings: LedgerSettings = {}, parallel = 16) => {
  const ledger = createLedgerPlatform(settings)
  return { ledger, ...executorOn(ledger, parallel) }
}

/** Applies wait until they are let go, by session and generation, or are interrupted. */
const doors = () => {
  const opened = new Map<string, PromiseWithResolvers<void>>()
  const begun: string[] = []
  const door = (key: string): PromiseWithResolvers<void> => {
    const known = opened.get(key) ?? Promise.withResolvers<void>()
    opened.set(key, known)
    return known
  }
  const delay: LedgerSettings['delay'] = async ({ sessionId, generation }, signal) => {
    const key = `${Number(sessionId.slice(-12))}@${generation}`
    begun.push(key)
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    await Promise.race([door(key).promise, aborted])
  }
  return { delay, begun, open: (key: string) => door(key).resolve() }
}

describe('the session executor', () => {
  it('applies a higher generation and says what is', async () => {
    const { accept, ledger, resultOf } = onLedger()
    const start = aCommand({ generation: 3 })
    accept(start, connection)
    expect(await resultOf(start)).to.include({ outcome: 'applied', generation: 3, sessionId: start.sessionId })
    expect((await resultOf(start)).observed).to.include({ status: 'running' })
    expect(ledger.effects).to.have.length(1)
  })

  it('answers an equal generation with what is and touches nothing', async () => {
    const { accept, ledger, resultOf } = onLedger()
    const [first, again] = [aCommand({ generation: 3 }), aCommand({ generation: 3 })]
    accept(first, connection)
    await resultOf(first)
    ledger.change(first.sessionId, { status: 'failed', reason: 'exited_early' })
    accept(again, connection)
    const result = await resultOf(again)
    expect(result.outcome).to.equal('applied')
    expect(result.observed).to.deep.equal({ status: 'failed', reason: 'exited_early' })
    expect(ledger.effects).to.have.length(1)
  })

  it('answers a lower generation with superseded and touches nothing', async () => {
    const { accept, ledger, resultOf } = onLedger()
    const [newer, older] = [aCommand({ generation: 3 }), aCommand({ generation: 2, state: 'stopped' })]
    accept(newer, connection)
    await resultOf(newer)
    accept(older, connection)
    expect(await resultOf(older)).to.deep.equal({
      type: 'result',
      commandId: older.commandId,
      sessionId: older.sessionId,
      generation: 2,
      outcome: 'superseded',
    })
    expect(ledger.effects).to.have.length(1)
  })

  it('tells nothing observed of a deleted session', async () => {
    const { accept, resultOf } = onLedger()
    const removal = aCommand({ generation: 4, state: 'deleted' })
    accept(removal, connection)
    expect(await resultOf(removal)).to.not.have.property('observed')
  })

  it('remembers what is gone: a late start after a delete is superseded, the delete again is applied', async () => {
    const { accept, ledger, resultOf } = onLedger()
    const [removal, again] = [4, 4].map((generation) => aCommand({ generation, state: 'deleted' })) as [
      CommandFrame,
      CommandFrame,
    ]
    const late = aCommand({ generation: 3 })
    accept(removal, connection)
    await resultOf(removal)
    accept(late, connection)
    accept(again, connection)
    expect((await resultOf(late)).outcome).to.equal('superseded')
    expect((await resultOf(again)).outcome).to.equal('applied')
    expect(ledger.effects).to.have.length(1)
  })

  it('says stopped again of a stopped session of which nothing is left', async () => {
    const { accept, ledger, resultOf } = onLedger()
    const [stop, again] = [2, 2].map((generation) => aCommand({ generation, state: 'stopped' })) as [
      CommandFrame,
      CommandFrame,
    ]
    accept(stop, connection)
    await resultOf(stop)
    accept(again, connection)
    expect((await resultOf(again)).observed).to.deep.equal({ status: 'stopped' })
    expect(ledger.effects).to.have.length(1)
  })

  it('applies a redelivered command once, and answers it once it is done', async () => {
    const { delay, begun, open } = doors()
    const { accept, ledger, results, resultOf } = onLedger({ delay })
    const start = aCommand({ generation: 1 })
    const sameGeneration = aCommand({ generation: 1 })
    accept(start, connection)
    accept({ ...start, attempt: 2 }, connection)
    accept(sameGeneration, 'another connection')
    expect(results()).to.deep.equal([])
    open('1@1')
    expect((await resultOf(start)).outcome).to.equal('applied')
    expect((await resultOf(sameGeneration)).outcome).to.equal('applied')
    expect(begun).to.deep.equal(['1@1'])
    expect(ledger.effects).to.have.length(1)
  })

  it('interrupts an apply for a newer generation and answers it with superseded', async () => {
    const { delay, begun, open } = doors()
    const { accept, ledger, resultOf } = onLedger({ delay })
    const [start, stop] = [
      aCommand({ generation: 1 }),
      aCommand({ generation: 2, state: 'stopped', persistentHome: true }),
    ]
    accept(start, connection)
    accept(stop, connection)
    open('1@2')
    expect((await resultOf(start)).outcome).to.equal('superseded')
    expect((await resultOf(stop)).outcome).to.equal('applied')
    expect(begun).to.deep.equal(['1@1', '1@2'])
    expect(ledger.effects.map((effect) => effect.generation)).to.deep.equal([2])
    expect(ledger.violations).to.deep.equal([])
  })

  it('never begins what something newer has overtaken in the queue', async () => {
    const { delay, begun, open } = doors()
    const { accept, resultOf } = onLedger({ delay })
    const commands = [1, 2, 5, 4].map((generation) => aCommand({ generation })) as [
      CommandFrame,
      CommandFrame,
      CommandFrame,
      CommandFrame,
    ]
    for (const command of commands) accept(command, connection)
    open('1@5')
    expect((await resultOf(commands[1])).outcome).to.equal('superseded')
    expect((await resultOf(commands[3])).outcome).to.equal('superseded')
    expect((await resultOf(commands[2])).outcome).to.equal('applied')
    expect(begun).to.deep.equal(['1@1', '1@5'])
  })

  it('remembers the generation of an apply that failed and left nothing: only what is older is superseded', async () => {
    const answers: Applied[] = [
      { kind: 'failed', code: 'image_not_found', message: 'no such image', retryable: true },
      { kind: 'applied', observed: { status: 'running' } },
    ]
    const { accept, resultOf } = executorOn({ held: () => null, apply: async () => answers.shift()! })
    const [failing, older, again] = [5, 4, 5].map((generation) => aCommand({ generation })) as [
      CommandFrame,
      CommandFrame,
      CommandFrame,
    ]
    accept(failing, connection)
    const failed = await resultOf(failing)
    expect(failed.outcome).to.equal('failed')
    expect(failed.error).to.deep.equal({ code: 'image_not_found', message: 'no such image', retryable: true })
    accept(older, connection)
    expect((await resultOf(older)).outcome).to.equal('superseded')
    accept(again, connection)
    expect((await resultOf(again)).outcome).to.equal('applied')
  })

  it('runs different sessions side by side, within the bound', async () => {
    const { delay, begun, open } = doors()
    const { accept, resultOf } = onLedger({ delay }, 2)
    const commands = [1, 2, 3].map((session) => aCommand({ session, generation: 1 })) as [
      CommandFrame,
      CommandFrame,
      CommandFrame,
    ]
    for (const command of commands) accept(command, connection)
    expect(begun).to.deep.equal(['1@1', '2@1'])
    open('2@1')
    await resultOf(commands[1])
    await eventually(() => expect(begun).to.deep.equal(['1@1', '2@1', '3@1']))
    open('3@1')
    expect((await resultOf(commands[2])).outcome).to.equal('applied')
  })

  it('stops sessions while all places for starts are taken', async () => {
    const { delay, begun, open } = doors()
    const { accept, resultOf } = onLedger({ delay }, 1)
    const stop = aCommand({ session: 2, generation: 2, state: 'stopped' })
    accept(aCommand({ session: 1, generation: 1 }), connection)
    accept(aCommand({ session: 3, generation: 1 }), connection)
    accept(stop, connection)
    open('2@2')
    expect((await resultOf(stop)).outcome).to.equal('applied')
    expect(begun).to.deep.equal(['1@1', '2@2'])
  })

  it('drops what came over a lost connection and was not begun, and takes it again from the next', async () => {
    const { delay, begun, open } = doors()
    const { accept, drop, resultOf, results } = onLedger({ delay }, 1)
    const [running, waiting, other] = [1, 2, 3].map((session) => aCommand({ session, generation: 1 })) as [
      CommandFrame,
      CommandFrame,
      CommandFrame,
    ]
    accept(running, connection)
    accept(waiting, connection)
    accept(other, 'another connection')
    drop(connection)
    open('1@1')
    open('2@1')
    open('3@1')
    await resultOf(running)
    await resultOf(other)
    expect(begun).to.deep.equal(['1@1', '3@1'])
    expect(results()).to.have.length(2)
    accept(waiting, 'another connection')
    expect((await resultOf(waiting)).outcome).to.equal('applied')
  })

  it('turns an exception of the platform into a failure that is tried again', async () => {
    const { accept, resultOf, lines } = executorOn({
      held: () => null,
      apply: () => {
        throw new Error('the engine bit')
      },
    })
    const [first, second] = [1, 2].map((generation) => aCommand({ generation })) as [CommandFrame, CommandFrame]
    accept(first, connection)
    expect((await resultOf(first)).error).to.deep.equal({
      code: 'internal',
      message: 'the engine bit',
      retryable: true,
    })
    expect(lines.map((line) => line.level)).to.deep.equal(['error'])
    accept(second, connection)
    expect((await resultOf(second)).outcome).to.equal('failed')
  })

  it('says what the platform cannot understand', async () => {
    const { accept, resultOf } = executorOn({
      held: () => null,
      apply: async () => ({ kind: 'rejected', code: 'no_process', message: 'no part for this platform' }),
    })
    const command = aCommand({ generation: 1 })
    accept(command, connection)
    expect(await resultOf(command)).to.deep.include({
      outcome: 'rejected',
      error: { code: 'no_process', message: 'no part for this platform', retryable: false },
    })
  })

  it('tells the progress of a start, and cuts text to what a frame may carry', async () => {
    const { accept, resultOf, reports } = executorOn({
      held: () => null,
      apply: async (_target, { progress }) => {
        progress('pulling_image', 'x'.repeat(10_000))
        return { kind: 'applied', observed: { status: 'running' } }
      },
    })
    const command = aCommand({ generation: 7 })
    accept(command, connection)
    await resultOf(command)
    expect(reports.map((report) => report.type)).to.deep.equal(['status', 'result'])
    const [progress] = reports as [Frame<'status'>]
    expect(progress).to.include({ generation: 7, status: 'starting', reason: 'pulling_image' })
    expect(progress.message).to.have.length(4_096)
  })

  it('interrupts what runs when it stops, answers nothing of it and begins nothing more', async () => {
    const { delay, begun } = doors()
    const { accept, stop, results, ledger } = onLedger({ delay }, 1)
    accept(aCommand({ session: 1, generation: 1 }), connection)
    accept(aCommand({ session: 2, generation: 1 }), connection)
    await stop(5_000)
    accept(aCommand({ session: 3, generation: 1 }), connection)
    expect(results()).to.deep.equal([])
    expect(begun).to.deep.equal(['1@1'])
    expect(ledger.held(sessionIdOf(1))).to.equal(null)
  })

  it('does not wait for ever for a platform that cannot be interrupted', async () => {
    const { accept, stop } = executorOn({ held: () => null, apply: () => new Promise(() => {}) })
    accept(aCommand({ generation: 1 }), connection)
    await stop(10)
  })
})
