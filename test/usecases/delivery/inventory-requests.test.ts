import { expect } from 'chai'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import { createInventoryRequests } from '../../../src/delivery/inventory-requests.ts'
import { eventually } from '../../support/eventually.ts'

const HERE = 'here' as AgentId
const THERE = 'there' as AgentId
const NOWHERE = 'nowhere' as AgentId
const OTHER = 'replica-2' as ReplicaId

const requests = (failing = false) => {
  const asked: string[] = []
  const errors: unknown[] = []
  const ask = createInventoryRequests(
    {
      gateway: { holds: (agentId) => agentId === HERE, requestInventory: (agentId) => void asked.push(agentId) },
      leases: {
        holders: async (agentIds) => {
          if (failing) throw new Error('no database')
          return agentIds.includes(THERE) ? [{ agentId: THERE, replicaId: OTHER }] : []
        },
      },
      drains: { askInventory: async (replicaId, agentId) => void asked.push(`${replicaId}/${agentId}`) },
      onError: (error) => errors.push(error),
    },
    10,
  )
  return { ask, asked, errors }
}

describe('asking for inventories', () => {
  it('reaches agents here at once, those elsewhere through their replica, and those of nobody not', async () => {
    const { ask, asked } = requests()
    for (const agentId of [HERE, THERE, NOWHERE]) ask(agentId)
    await eventually(() => expect(asked).to.deep.equal([HERE, `${OTHER}/${THERE}`]))
  })

  it('often within a moment asks once, and later once more', async () => {
    const { ask, asked } = requests()
    for (let n = 0; n < 100; n += 1) ask(HERE)
    await eventually(() => expect(asked).to.deep.equal([HERE]))
    ask(HERE)
    await eventually(() => expect(asked).to.deep.equal([HERE, HERE]))
  })

  it('that fails is told and harms nobody', async () => {
    const { ask, asked, errors } = requests(true)
    for (const agentId of [HERE, THERE]) ask(agentId)
    await eventually(() => expect(errors).to.have.length(1))
    expect(asked).to.deep.equal([HERE])
  })
})
