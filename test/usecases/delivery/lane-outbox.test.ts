import { expect } from 'chai'
import type { AgentId } from '../../../domain/ids.ts'
import type { LaneDue, LaneRead, Outbox } from '../../../domain/ports/delivery.ts'
import { createLaneOutbox } from '../../../src/delivery/lane-outbox.ts'

const wanted = (agentId: string, epoch: number): LaneRead =>
  ({ peer: { agentId: agentId as AgentId, epoch }, inFlight: [] }) as unknown as LaneRead

describe('the reads of all lanes', () => {
  const outboxOf = (asked: string[][]) =>
    ({
      due: async (lanes: readonly LaneRead[]) => {
        asked.push(lanes.map(({ peer }) => `${peer.agentId}@${peer.epoch}`))
        return lanes.map(
          ({ peer }) => ({ commands: [], readUpTo: `${peer.agentId}@${peer.epoch}` }) as unknown as LaneDue,
        )
      },
    }) as unknown as Outbox

  it('that are wanted at the same moment are one read, and each gets its own', async () => {
    const asked: string[][] = []
    const { due } = createLaneOutbox(outboxOf(asked))
    const answers = await Promise.all([due(wanted('a', 1)), due(wanted('b', 4)), due(wanted('c', 2))])
    expect(asked.flat()).to.have.members(['a@1', 'b@4', 'c@2'])
    expect(asked.length).to.be.below(3)
    expect(answers.map(({ readUpTo }) => readUpTo)).to.deep.equal(['a@1', 'b@4', 'c@2'])
  })

  it('of an agent that has two lanes for a moment are read for the newer one only', async () => {
    const asked: string[][] = []
    const { due } = createLaneOutbox(outboxOf(asked))
    // The first is read at once, so that the others meet.
    const [, older, newer, oldest] = await Promise.all([
      due(wanted('z', 1)),
      due(wanted('a', 2)),
      due(wanted('a', 3)),
      due(wanted('a', 1)),
    ])
    expect(asked.flat().filter((lane) => lane.startsWith('a'))).to.deep.equal(['a@3'])
    expect([older?.readUpTo, newer?.readUpTo, oldest?.readUpTo]).to.deep.equal([null, 'a@3', null])
  })
})
