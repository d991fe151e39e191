import { expect } from 'chai'
import fc from 'fast-check'
import type { Lane } from '../../../adapters/websocket/lane.ts'
import { AGENT, aLane, type RecordingWire } from './support/a-lane.ts'
import { aSessionId } from './support/fake-outbox.ts'

describe('a lane', () => {
  it('sends every row and never a falling generation, in any interleaving of what can happen', async () => {
    type Step =
      | { readonly what: 'commit'; readonly session: number }
      | { readonly what: 'ack' | 'lose' | 'result' | 'retry'; readonly which: number }
      | { readonly what: 'reconnect' | 'drain' | 'down' | 'up' }
      | { readonly what: 'pass'; readonly ms: number }
      | { readonly what: 'full'; readonly bytes: number }
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 6, arbitrary: fc.record({ what: fc.constant('commit' as const), session: fc.nat(4) }) },
      {
        weight: 6,
        arbitrary: fc.record({ what: fc.constantFrom('ack', 'lose', 'result', 'retry'), which: fc.nat(20) }),
      },
      { weight: 3, arbitrary: fc.record({ what: fc.constantFrom('reconnect', 'drain', 'down', 'up') }) },
      { weight: 4, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.nat(3_000) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('full' as const), bytes: fc.constantFrom(0, 2 ** 22) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), async (steps, window) => {
        const { outbox, time, notes, reconnect } = aLane({ window })
        const sessions = Array.from({ length: 5 }, aSessionId)
        const sent = new Set<string>()
        let connection: { readonly lane: Lane; readonly wire: RecordingWire } = reconnect()
        let unanswered: string[] = []
        let seen = 0
        let highest = new Map<string, number>()
        const look = (): void => {
          for (const frame of connection.wire.frames.slice(seen)) {
            sent.add(frame.commandId)
            unanswered.push(frame.commandId)
            expect(frame.generation).to.be.at.least(highest.get(frame.sessionId) ?? 0)
            highest.set(frame.sessionId, frame.generation)
          }
          seen = connection.wire.frames.length
          expect(connection.lane.inFlight()).to.be.at.most(window)
        }
        const again = (): void => {
          connection = reconnect()
          unanswered = []
          seen = 0
          highest = new Map()
        }
        const take = (step: Step): Promise<void> | void => {
          const { lane, wire } = connection
          switch (step.what) {
            case 'commit':
              outbox.commit(AGENT, { sessionId: sessions[step.session]! })
              return lane.drain()
            case 'reconnect':
              return again()
            case 'drain':
              return lane.drain()
            case 'down':
            case 'up':
              outbox.isDown = step.what === 'down'
              return
            case 'pass':
              return time.pass(step.ms)
            case 'full':
              wire.bufferedBytes = step.bytes
              if (step.bytes === 0) wire.flush()
              return
            default: {
              const [commandId] = unanswered.splice(step.which % Math.max(1, unanswered.length), 1)
              if (commandId === undefined || step.what === 'lose') return
              if (step.what === 'ack') return lane.acked([commandId as never])
              const retry = step.what === 'retry'
              const wait = lane.answered(commandId as never, retry)
              return Promise.resolve(wait).then(() => {
                if (!retry) outbox.finish(commandId as never)
                for (const row of outbox.rows) if (retry && row.commandId === commandId) row.ackedEpoch = 0
                lane.settled(commandId as never, 'committed')
              })
            }
          }
        }
        for (const step of steps) {
          await take(step)
          await time.settle()
          look()
        }
        // Everything works again, and everything is acked: what was not superseded has been sent, and is acked.
        outbox.isDown = false
        again()
        for (let turn = 0; turn < 200; turn++) {
          await time.pass(100)
          look()
          connection.lane.acked(unanswered.splice(0) as never[])
        }
        await notes.flush()
        for (const row of outbox.rows) {
          if (row.status === 'pending') expect(sent, `row ${row.id} was never sent`).to.include(row.commandId)
          if (row.status === 'pending') expect(row.ackedAt, `row ${row.id} was never acked`).not.to.equal(null)
        }
        expect(connection.lane.inFlight()).to.equal(0)
        connection.lane.stop()
      }),
      { numRuns: 60 },
    )
  })
})
