import { expect } from 'chai'
import type { CommandId } from '../../../domain/ids.ts'
import { AGENT, aLane } from './support/a-lane.ts'
import { aSessionId, type FakeRow } from './support/fake-outbox.ts'

const idsOf = (rows: readonly { readonly commandId: string }[]): string[] => rows.map((row) => row.commandId)
const many = (count: number, commit: () => FakeRow): FakeRow[] => Array.from({ length: count }, commit)

describe('a lane', () => {
  it('sends what is due in the order of the rows, complete', async () => {
    const { outbox, time, reconnect } = aLane()
    const rows = many(3, () => outbox.commit(AGENT))
    const { wire } = reconnect()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal(idsOf(rows))
    expect(wire.frames[0]).to.deep.equal({
      type: 'command',
      commandId: rows[0]!.commandId,
      command: 'start_session',
      sessionId: rows[0]!.sessionId,
      generation: 1,
      attempt: 1,
      expiresAt: null,
      desired: rows[0]!.desired,
    })
  })

  it('sends at most a window without an ack, and the rest as acks come', async () => {
    const { outbox, time, reconnect } = aLane({ window: 4 })
    const rows = many(10, () => outbox.commit(AGENT))
    const { lane, wire } = reconnect()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal(idsOf(rows.slice(0, 4)))
    lane.acked([rows[0]!.commandId, rows[1]!.commandId])
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal(idsOf(rows.slice(0, 6)))
    while (wire.frames.length < rows.length) {
      lane.acked(idsOf(wire.frames) as never[])
      await time.settle()
    }
    expect(idsOf(wire.frames)).to.deep.equal(idsOf(rows))
  })

  it('keeps the window in bytes too, but lets a single frame through however large', async () => {
    const { outbox, time, reconnect } = aLane({ window: 10, windowBytes: 5_000 })
    const rows = many(4, () => outbox.commit(AGENT, { name: 'x'.repeat(2_000) }))
    const huge = outbox.commit(AGENT, { name: 'x'.repeat(20_000) })
    const { lane, wire } = reconnect()
    await time.settle()
    expect(wire.frames).to.have.lengthOf(2)
    for (let turn = 0; turn < 4; turn++) {
      lane.acked(idsOf(wire.frames) as never[])
      await time.settle()
    }
    expect(idsOf(wire.frames)).to.deep.equal(idsOf([...rows, huge]))
  })

  it('reads again when it is told to drain while it reads', async () => {
    const { outbox, time, reconnect } = aLane()
    let goOn = (): void => {}
    outbox.whileReading = () =>
      new Promise<void>((resolve) => {
        goOn = resolve
      })
    const { lane, wire } = reconnect()
    await time.settle()
    const row = outbox.commit(AGENT)
    for (let count = 0; count < 100; count++) lane.drain()
    outbox.whileReading = () => {}
    goOn()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal([row.commandId])
    expect(outbox.reads).to.have.lengthOf(2)
  })

  it('reads a backlog on from where it ended, and from its beginning when something may have become due there', async () => {
    const { outbox, time, reconnect } = aLane({ window: 2 })
    const rows = Array.from({ length: 6 }, () => outbox.commit(AGENT))
    const { lane, wire } = reconnect()
    const finish = async (from: number, to: number) => {
      for (const { commandId } of rows.slice(from, to)) {
        outbox.finish(commandId)
        void lane.answered(commandId, false)
        lane.settled(commandId, 'committed')
      }
      await time.settle()
    }
    await time.settle()
    await finish(0, 2)
    expect(outbox.reads.map(({ after }) => after)).to.deep.equal([0, 2, 3])
    // Given up, and asked for again by somebody.
    rows[0]!.status = 'pending'
    lane.drain()
    await finish(2, 4)
    expect(outbox.reads[3]?.after).to.equal(0)
    await finish(0, 1)
    await finish(4, 6)
    expect(idsOf(wire.frames)).to.deep.equal([0, 1, 2, 3, 0, 4, 5].map((at) => rows[at]!.commandId))
  })

  it('goes on behind rows that are read and cannot be sent, however many', async () => {
    const { outbox, time, reconnect } = aLane({ window: 2 })
    for (let n = 0; n < 7; n++) outbox.commit(AGENT).unreadable = true
    const row = outbox.commit(AGENT)
    const { wire } = reconnect()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal([row.commandId])
  })

  it('never sends twice what was acked while the note of it was not written', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    lane.acked([row.commandId])
    lane.drain()
    await time.settle()
    expect(row.ackedAt).to.equal(null)
    await time.pass(100)
    expect(row.ackedEpoch).to.equal(1)
    lane.drain()
    await time.settle()
    expect(wire.frames).to.have.lengthOf(1)
    expect(outbox.reads.at(-1)?.inFlight).to.deep.equal([])
  })

  it('does not send again a row whose ack came while it was being read', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    let goOn = (): void => {}
    outbox.whileReading = () =>
      new Promise<void>((resolve) => {
        goOn = resolve
      })
    await time.pass(1_000)
    lane.acked([row.commandId])
    outbox.whileReading = () => {}
    goOn()
    await time.pass(100)
    expect(wire.frames).to.have.lengthOf(1)
    expect(row.ackedEpoch).to.equal(1)
  })

  it('sends again what is not acked in time, later and later, and counts each as unacked', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { wire } = reconnect()
    const sentAt: number[] = []
    for (let ms = 0; ms < 60_000; ms += 100) {
      await time.pass(100)
      while (sentAt.length < wire.frames.length) sentAt.push(time.now())
    }
    // 1 s for the ack, then half (the test's random) of 0, 2, 4, 8, 16 s.
    const waits = sentAt.slice(1).map((at, index) => Math.round((at - sentAt[index]!) / 1_000))
    expect(waits).to.deep.equal([1, 2, 3, 5, 9, 17])
    expect(row.unacked).to.equal(7)
    expect(wire.frames.map((frame) => frame.attempt)).to.deep.equal([1, 2, 3, 4, 5, 6, 7])
  })

  it('sends what nobody acks again in few reads, however many there are', async () => {
    let turn = 0
    const { outbox, time, reconnect } = aLane({ window: 200, random: () => (turn++ % 97) / 97 })
    many(200, () => outbox.commit(AGENT))
    const { wire } = reconnect()
    await time.pass(2_500)
    const before = outbox.reads.length
    for (let ms = 0; ms < 4_000; ms += 10) await time.pass(10)
    expect(wire.frames.length).to.be.greaterThan(600)
    expect(outbox.reads.length - before).to.be.at.most(60)
  })

  it('does not send again what was superseded meanwhile', async () => {
    const { outbox, time, reconnect } = aLane()
    const first = outbox.commit(AGENT)
    const { wire } = reconnect()
    await time.settle()
    const second = outbox.commit(AGENT, { sessionId: first.sessionId })
    await time.pass(1_500)
    expect(idsOf(wire.frames)).to.deep.equal([first.commandId, second.commandId])
  })

  it('does not send again what was cancelled meanwhile, and forgets it', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    row.status = 'cancelled'
    await time.pass(120_000)
    expect(idsOf(wire.frames)).to.deep.equal([row.commandId])
    expect(lane.inFlight()).to.equal(0)
  })

  it('sends what was given up and redriven, on the same connection and in its place', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    row.status = 'dead'
    await time.pass(120_000)
    const sent = wire.frames.length
    row.status = 'pending'
    const later = outbox.commit(AGENT)
    lane.drain()
    await time.settle()
    expect(idsOf(wire.frames.slice(sent))).to.deep.equal([row.commandId, later.commandId])
  })

  it('never sends a lower generation after a higher one, whatever the outbox returns', async () => {
    const { outbox, time, reconnect } = aLane()
    const sessionId = aSessionId()
    const second = outbox.commit(AGENT, { sessionId, generation: 2 })
    const { lane, wire } = reconnect()
    await time.settle()
    outbox.commit(AGENT, { sessionId, generation: 1 })
    const other = outbox.commit(AGENT)
    lane.drain()
    lane.acked([second.commandId])
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal([second.commandId, other.commandId])
  })

  it('sends a row with a lower id that was committed later', async () => {
    const { outbox, time, reconnect } = aLane()
    const rows = many(2, () => outbox.commit(AGENT))
    const late = { ...outbox.commit(AGENT), id: 0.5 }
    outbox.rows.pop()
    const { lane, wire } = reconnect()
    await time.settle()
    outbox.rows.unshift(late)
    lane.drain()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal(idsOf([...rows, late]))
  })

  it('stops at a full socket, counts nothing against the agent, and goes on when it has drained', async () => {
    const { outbox, time, reconnect } = aLane()
    const first = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    wire.bufferedBytes = 2 * 1024 * 1024
    const second = outbox.commit(AGENT)
    lane.drain()
    await time.pass(10_000)
    expect(idsOf(wire.frames)).to.deep.equal([first.commandId])
    expect(first.unacked).to.equal(0)
    expect(lane.stalledSince()).to.equal(0)
    expect(outbox.reads).to.have.lengthOf(1)
    wire.bufferedBytes = 0
    wire.flush()
    await time.settle()
    expect(idsOf(wire.frames)).to.include(second.commandId)
    expect(lane.stalledSince()).to.equal(null)
  })

  it('does not jam on a command that is larger than a frame may be', async () => {
    const { outbox, time, log, reconnect } = aLane()
    const tooLarge = outbox.commit(AGENT, { name: 'x'.repeat(1024 * 1024) })
    const next = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.pass(120_000)
    lane.drain()
    await time.settle()
    expect(new Set(idsOf(wire.frames))).to.deep.equal(new Set([next.commandId]))
    expect(log.filter((line) => line.level === 'error').map((line) => line.fields)).to.deep.equal([
      {
        agentId: AGENT,
        epoch: 1,
        commandId: tooLarge.commandId,
        sessionId: tooLarge.sessionId,
        bytes: (log[0]!.fields as { bytes: number }).bytes,
      },
    ])
  })

  it('takes a result for an ack', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    expect(lane.answered(row.commandId, false)).to.equal(null)
    expect(lane.inFlight()).to.equal(0)
    outbox.finish(row.commandId)
    lane.settled(row.commandId, 'committed')
    await time.pass(10_000)
    expect(wire.frames).to.have.lengthOf(1)
  })

  it('does not note the ack of a command whose result makes it due again', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    lane.acked([row.commandId])
    expect(lane.answered(row.commandId, true)).to.equal(null)
    lane.settled(row.commandId, 'committed')
    await time.pass(100)
    expect(row.ackedEpoch).to.equal(0)
    lane.drain()
    await time.settle()
    expect(wire.frames).to.have.lengthOf(2)
  })

  it('waits for the ack that is being written before a result that makes the command due again', async () => {
    const { outbox, time, notes } = aLane()
    const row = outbox.commit(AGENT)
    let goOn = (): void => {}
    const note = outbox.note
    Object.assign(outbox, {
      note: async (given: Parameters<typeof note>[0]) => {
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
        return note(given)
      },
    })
    notes.acked({ agentId: AGENT, epoch: 1 }, row.commandId, new Date(0), new Date(0), () => {})
    await time.pass(100)
    const written = notes.withdrawAck(row.commandId)
    expect(written).to.be.instanceOf(Promise)
    goOn()
    await written
    expect(notes.withdrawAck(row.commandId)).to.equal(null)
  })

  it('does not send in a circle a command whose result is refused', async () => {
    const { outbox, time, reconnect } = aLane()
    const row = outbox.commit(AGENT)
    const { lane, wire } = reconnect()
    await time.settle()
    expect(lane.answered(row.commandId, true)).to.equal(null)
    lane.settled(row.commandId, 'refused')
    await time.pass(10_000)
    lane.drain()
    await time.settle()
    expect(wire.frames).to.have.lengthOf(1)
    expect(row.ackedEpoch).to.equal(1)
  })

  it('pauses while the database is lost, says so once, and goes on by itself', async () => {
    const { outbox, time, log, reconnect } = aLane()
    outbox.isDown = true
    const { lane, wire } = reconnect()
    await time.pass(60_000)
    expect(log.map((line) => line.level)).to.deep.equal(['warn'])
    expect(outbox.reads.length).to.be.within(10, 30)
    const row = outbox.commit(AGENT)
    outbox.isDown = false
    await time.pass(5_000)
    expect(new Set(idsOf(wire.frames))).to.deep.equal(new Set([row.commandId]))
    expect(log.map((line) => line.level)).to.deep.equal(['warn', 'info'])
    lane.stop()
  })

  it('has no timer when nothing is in flight, and one when much is', async () => {
    const { outbox, time, reconnect } = aLane({ window: 100 })
    const { lane } = reconnect()
    await time.settle()
    expect(time.timers()).to.equal(0)
    const rows = many(50, () => outbox.commit(AGENT))
    lane.drain()
    await time.pass(110) // the note of the sends is written by then
    expect(time.timers()).to.equal(1)
    lane.acked(idsOf(rows) as never[])
    await time.pass(1_000)
    expect(time.timers()).to.equal(0)
  })

  it('rests when it has found nothing and sent nothing, and is there again for the next command', async () => {
    const { outbox, notes, time, reconnect } = aLane()
    const { lane, wire } = reconnect()
    await time.settle()
    lane.acked(['of an earlier connection' as CommandId])
    lane.settled('of an earlier connection' as CommandId, 'committed')
    expect([lane.inFlight(), lane.stalledSince()]).to.deep.equal([0, null])
    const row = outbox.commit(AGENT)
    notes.acked({ agentId: AGENT, epoch: 1 }, row.commandId, new Date(0), new Date(0), () => {})
    expect(lane.answered(row.commandId, true)).to.equal(null)
    await time.pass(200)
    expect(row.ackedAt).to.equal(null) // it was taken back
    lane.drain()
    await time.settle()
    expect(idsOf(wire.frames)).to.deep.equal([row.commandId])
    expect(lane.inFlight()).to.equal(1)
  })

  it('reads nothing and sends nothing once it is stopped', async () => {
    const { outbox, time, reconnect } = aLane()
    outbox.commit(AGENT)
    let goOn = (): void => {}
    outbox.whileReading = () =>
      new Promise<void>((resolve) => {
        goOn = resolve
      })
    const { lane, wire } = reconnect()
    await time.settle()
    lane.stop()
    goOn()
    lane.drain()
    await time.pass(10_000)
    expect(wire.frames).to.deep.equal([])
    expect(outbox.reads).to.have.lengthOf(1)
  })
})
