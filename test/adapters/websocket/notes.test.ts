import { expect } from 'chai'
import { createDatabaseState } from '../../../adapters/websocket/database-state.ts'
import { createNotes } from '../../../adapters/websocket/notes.ts'
import type { AgentId, CommandId } from '../../../domain/ids.ts'
import type { DeliveryNote } from '../../../domain/ports/delivery.ts'
import { virtualTime } from './support/virtual-time.ts'

const peer = (name: string, epoch = 1) => ({ agentId: name as AgentId, epoch })
const command = (name: string): CommandId => name as CommandId
const at = (ms: number): Date => new Date(ms)

const someNotes = () => {
  const time = virtualTime()
  const calls: (readonly DeliveryNote[])[] = []
  const port = {
    isDown: false,
    whileWriting: (): Promise<void> | void => {},
    note: async (notes: readonly DeliveryNote[]): Promise<void> => {
      await port.whileWriting()
      if (port.isDown) throw new Error('no database')
      calls.push(notes)
    },
  }
  const quiet = () => {}
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  return { time, calls, port, notes: createNotes(port, createDatabaseState(log, time), time) }
}

describe('notes of what was delivered', () => {
  it('are written 100 ms after the first, those of all agents in one statement, one row a command', async () => {
    const { time, calls, notes } = someNotes()
    notes.sent(peer('a'), command('1'), at(0))
    await time.pass(10)
    notes.acked(peer('a'), command('1'), at(0), at(10), () => {})
    notes.sent(peer('b', 7), command('2'), at(10))
    await time.pass(89)
    expect(calls).to.deep.equal([])
    await time.pass(1)
    expect(calls).to.deep.equal([
      [
        { agentId: 'a', epoch: 1, commandId: '1', sentAt: at(0), ackedAt: at(10), unacked: 0 },
        { agentId: 'b', epoch: 7, commandId: '2', sentAt: at(10), ackedAt: null, unacked: 0 },
      ],
    ])
  })

  it('are written one statement at a time', async () => {
    const { time, calls, port, notes } = someNotes()
    let goOn = (): void => {}
    let writing = 0
    port.whileWriting = () => {
      writing += 1
      return new Promise((resolve) => {
        goOn = resolve
      })
    }
    notes.sent(peer('a'), command('1'), at(0))
    await time.pass(100)
    notes.sent(peer('a'), command('2'), at(100))
    await time.pass(1_000)
    expect(writing).to.equal(1)
    goOn()
    await time.pass(100)
    expect(writing).to.equal(2)
    goOn()
    await time.settle()
    expect(calls).to.have.lengthOf(2)
  })

  it('are written in pieces when there are many', async () => {
    const { calls, notes } = someNotes()
    for (let count = 0; count < 2_500; count++) notes.sent(peer('a'), command(String(count)), at(0))
    expect(await notes.flush()).to.equal(true)
    expect(calls.map((call) => call.length)).to.deep.equal([1_000, 1_000, 500])
  })

  it('are kept while the database is lost, under what is said since', async () => {
    const { time, calls, port, notes } = someNotes()
    const kept: string[] = []
    port.isDown = true
    notes.acked(peer('a'), command('1'), at(0), at(5), (commandId) => kept.push(commandId))
    notes.unacked(peer('a'), command('2'), at(0))
    await time.pass(110)
    notes.unacked(peer('a'), command('2'), at(110))
    await time.pass(10_000)
    expect(kept).to.deep.equal([])
    port.isDown = false
    await time.pass(10_000)
    expect(calls).to.deep.equal([
      [
        { agentId: 'a', epoch: 1, commandId: '1', sentAt: at(0), ackedAt: at(5), unacked: 0 },
        { agentId: 'a', epoch: 1, commandId: '2', sentAt: at(110), ackedAt: null, unacked: 2 },
      ].toSorted((x, y) => x.commandId.localeCompare(y.commandId)),
    ])
    expect(kept).to.deep.equal(['1'])
  })

  it('that could not be written are added to what was said meanwhile', async () => {
    const { time, calls, port, notes } = someNotes()
    let goOn = (): void => {}
    port.isDown = true
    port.whileWriting = () =>
      new Promise((resolve) => {
        goOn = resolve
      })
    notes.unacked(peer('a'), command('1'), at(0))
    await time.pass(100)
    notes.unacked(peer('a'), command('1'), at(100))
    port.whileWriting = () => {}
    goOn()
    await time.settle()
    port.isDown = false
    await time.pass(10_000)
    expect(calls).to.deep.equal([
      [{ agentId: 'a', epoch: 1, commandId: '1', sentAt: at(100), ackedAt: null, unacked: 2 }],
    ])
  })

  it('of an older connection give way to those of a newer one', async () => {
    const { time, calls, notes } = someNotes()
    notes.unacked(peer('a', 1), command('1'), at(0))
    notes.sent(peer('a', 2), command('1'), at(5))
    await time.pass(100)
    expect(calls).to.deep.equal([
      [{ agentId: 'a', epoch: 2, commandId: '1', sentAt: at(5), ackedAt: null, unacked: 0 }],
    ])
  })

  it('say when a flush could not write them', async () => {
    const { port, notes } = someNotes()
    port.isDown = true
    notes.sent(peer('a'), command('1'), at(0))
    expect(await notes.flush()).to.equal(false)
    notes.stop()
  })
})
