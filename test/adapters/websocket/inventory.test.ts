import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { type InventoryItem, inventoryText } from '../../../agents/protocol.ts'
import type { AgentId, CommandId, SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import type { AgentClient } from './support/agent-client.ts'
import { aSessionId } from './support/fake-outbox.ts'

const hashOf = (items: readonly InventoryItem[]): string =>
  createHash('sha256')
    .update([...inventoryText(items)].join(''))
    .digest('hex')
const running = (sessionId: SessionId, generation = 1): InventoryItem => ({ sessionId, generation, status: 'running' })

describe('the inventory of an agent', () => {
  let a: AHub
  let client: AgentClient
  const [one, two, three] = [aSessionId(), aSessionId(), aSessionId()]
  const start = async (settings: Parameters<typeof startHub>[0] = {}): Promise<void> => {
    a = await startHub(settings)
    client = await a.connect()
  }
  afterEach(() => a.stop())

  const page = (items: readonly InventoryItem[], final: boolean, requestId?: string) =>
    client.send({ type: 'inventory', items, final, ...(requestId === undefined ? {} : { requestId }) })
  /** Heartbeats go the same way as all else: when it is there, everything before it has been seen. */
  let beats = 0
  const beat = async (items: readonly InventoryItem[]): Promise<void> => {
    const activeSessions = ++beats
    client.send({ type: 'heartbeat', at: new Date().toISOString(), activeSessions, inventoryHash: hashOf(items) })
    await eventually(() => expect(a.inbox.of('heartbeat').at(-1)).to.include({ activeSessions }))
  }
  const result = (sessionId: SessionId, generation: number, observed: InventoryItem['status'] | null) =>
    client.send({
      type: 'result',
      commandId: crypto.randomUUID() as CommandId,
      sessionId,
      generation,
      outcome: 'applied',
      observed: observed === null ? null : { status: observed },
    })

  it('is handed over when its last page has come, all pages together', async () => {
    await start()
    page([running(one)], false)
    page([running(two)], false)
    await beat([])
    expect(a.inbox.of('inventory')).to.deep.equal([])
    page([running(three)], true)
    await eventually(() =>
      expect(a.inbox.of('inventory')).to.deep.equal([[running(one), running(two), running(three)]]),
    )
  })

  it('takes in what is said of a session between two pages', async () => {
    await start()
    page([running(one), running(two)], false)
    client.send({ type: 'status', sessionId: one, generation: 1, status: 'failed', reason: 'exited_early' })
    result(two, 2, null)
    result(three, 1, 'running')
    page([], true)
    await eventually(() => expect(a.inbox.of('inventory')).to.have.lengthOf(1))
    expect(a.inbox.of('inventory')[0]).to.deep.equal([
      { sessionId: one, generation: 1, status: 'failed', reason: 'exited_early' },
      running(three),
    ])
  })

  it('is never taken for complete when its beginning was given up for another one', async () => {
    await start()
    page([running(one)], false, 'older')
    page([running(one), running(two)], true, 'newer')
    page([running(two)], true, 'older')
    page([running(three)], true, 'older')
    await eventually(() =>
      expect(a.inbox.of('inventory')).to.deep.equal([[running(one), running(two)], [running(three)]]),
    )
  })

  it('is asked for when the hash of a heartbeat is another than that of what the agent has said', async () => {
    await start()
    page([running(one)], true)
    await beat([running(one), running(two)])
    expect((await client.next('inventoryRequest')).requestId).to.be.a('string')
  })

  it('is not asked for while the agent has said everything in results and statuses', async () => {
    await start()
    page([running(one), running(two)], true)
    await beat([running(one), running(two)])
    result(three, 1, 'running')
    await beat([running(one), running(two), running(three)])
    result(two, 5, null)
    await beat([running(one), running(three)])
    client.send({ type: 'status', sessionId: one, generation: 1, status: 'stopped' })
    await beat([{ ...running(one), status: 'stopped' }, running(three)])
    client.send({ type: 'status', sessionId: one, generation: 0, status: 'failed' })
    await beat([{ ...running(one), status: 'stopped' }, running(three)])
    expect(client.of('inventoryRequest')).to.deep.equal([])
  })

  it('is asked for at most once in a while, unless someone asks', async () => {
    await start()
    page([running(one)], true)
    for (let count = 0; count < 5; count++) await beat([])
    await client.count('inventoryRequest', 1)
    a.hub.requestInventory('edge-1' as AgentId)
    await client.count('inventoryRequest', 2)
  })

  it('is asked for again when the difference stays', async () => {
    await start({ inventoryRequestIntervalMs: 1 })
    page([running(one)], true)
    await beat([])
    await beat([])
    await client.count('inventoryRequest', 2)
  })

  it('is asked for when a result shows that the agent knows more than the row, at once and then no more often', async () => {
    await start()
    page([], true)
    await eventually(() => expect(a.inbox.of('inventory')).to.have.lengthOf(1))
    a.inbox.answer = () => 'outpaced'
    const superseded = (): void =>
      client.send({
        type: 'result',
        commandId: crypto.randomUUID() as CommandId,
        sessionId: one,
        generation: 1,
        outcome: 'superseded',
      })
    superseded()
    await client.count('inventoryRequest', 1)
    superseded()
    await beat([])
    expect(client.of('inventoryRequest')).to.have.lengthOf(1)
    expect(client.of('error')).to.deep.equal([])
  })

  it('is waited for after the welcome before it is asked for', async () => {
    await start({ inventoryRequestIntervalMs: 200 })
    await beat([running(one)])
    expect(client.of('inventoryRequest')).to.deep.equal([])
    await eventually(async () => {
      await beat([running(one)])
      expect(client.of('inventoryRequest')).to.have.lengthOf(1)
    })
  })

  it('that could not be written is asked for when the database is back', async () => {
    await start()
    a.inbox.answer = () => Promise.reject(new Error('no database'))
    page([running(one)], true)
    await eventually(() => expect(a.inbox.of('inventory')).to.have.lengthOf(1))
    a.inbox.answer = () => 'accepted'
    await beat([running(one)])
    await client.count('inventoryRequest', 1)
  })

  it('is refused, and not taken in part, when it has too many items', async () => {
    await start()
    const generation = 1
    for (let pages = 0; pages < 11; pages++) {
      const items = Array.from({ length: 9_500 }, () => ({ sessionId: aSessionId(), generation, status: 'stopped' }))
      page(items as InventoryItem[], pages === 10)
    }
    expect(await client.next('error')).to.include({ code: 'internal' })
    page([running(one)], true)
    await eventually(() => expect(a.inbox.of('inventory')).to.deep.equal([[running(one)]]))
  })

  it('of five thousand sessions is compared fast', async () => {
    await start()
    const items = Array.from({ length: 5_000 }, () => running(aSessionId()))
    page(items, true)
    await beat(items)
    expect(client.of('inventoryRequest')).to.deep.equal([])
  })

  it('is asked for when the agent speaks of a generation above the row’s, once an interval', async () => {
    await start({ inventoryRequestIntervalMs: 200 })
    page([running(one)], true)
    await beat([running(one)])
    a.inbox.answer = () => 'unexpected_generation'
    const ahead = (generation: number) => client.send({ type: 'status', sessionId: one, generation, status: 'running' })
    ahead(4)
    await client.count('inventoryRequest', 1)
    ahead(5)
    await client.count('error', 2)
    expect(client.of('inventoryRequest')).to.have.lengthOf(1)
    // Not forgotten: a heartbeat after the interval asks again, though its hash is as expected.
    await eventually(async () => {
      await beat([running(one, 5)])
      expect(client.of('inventoryRequest')).to.have.lengthOf(2)
    })
  })
})
