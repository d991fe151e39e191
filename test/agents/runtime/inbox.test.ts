import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'chai'
import type { CommandFrame } from '../../../agents/protocol.ts'
import { createInbox } from '../../../agents/runtime/inbox.ts'
import { aCommand } from '../../support/control-plane.ts'
import { scriptedLink } from '../../support/scripted-link.ts'

const commands = (count: number): CommandFrame[] =>
  Array.from({ length: count }, (_, index) => aCommand({ session: index, generation: 1 }))

describe('the inbox', () => {
  it('acknowledges all commands of one turn in one frame, before the first of them is begun', async () => {
    const link = scriptedLink()
    const seen: string[] = []
    const inbox = createInbox((command) => seen.push(`${command.commandId} after ${link.sent.length} acks`))
    const received = commands(3)
    for (const command of received) inbox.receive(link, command)
    expect(link.sent).to.deep.equal([])
    await turn()
    expect(link.sent).to.deep.equal([{ type: 'ack', commandIds: received.map((command) => command.commandId) }])
    expect(seen).to.deep.equal(received.map((command) => `${command.commandId} after 1 acks`))
  })

  it('acknowledges very many in several frames', async () => {
    const link = scriptedLink()
    const accepted: CommandFrame[] = []
    const inbox = createInbox((command) => accepted.push(command))
    for (const command of commands(2_500)) inbox.receive(link, command)
    await turn()
    expect(link.sent.map((frame) => (frame.type === 'ack' ? frame.commandIds.length : 0))).to.deep.equal([
      1_000, 1_000, 500,
    ])
    expect(accepted).to.have.length(2_500)
  })

  it('drops what arrived on a connection that closed before it was begun', async () => {
    const [lost, next] = [scriptedLink(), scriptedLink()]
    const accepted: CommandFrame[] = []
    const inbox = createInbox((command) => accepted.push(command))
    const [first, second] = commands(2) as [CommandFrame, CommandFrame]
    inbox.receive(lost, first)
    lost.close()
    inbox.receive(next, second)
    await turn()
    expect(accepted).to.deep.equal([second])
  })

  it('receives nothing more once it is closed', async () => {
    const link = scriptedLink()
    const accepted: CommandFrame[] = []
    const inbox = createInbox((command) => accepted.push(command))
    const [first, second] = commands(2) as [CommandFrame, CommandFrame]
    inbox.receive(link, first)
    inbox.close()
    inbox.receive(link, second)
    await turn()
    expect(accepted).to.deep.equal([])
    expect(link.sent).to.deep.equal([])
  })
})
