/** Two agents of an org, one of which is drained, over the stores as the server has them. */
import { expect } from 'chai'
import type { AgentId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Session } from '../../domain/session/session.ts'
import { drainAgents } from '../../src/usecases/drain-agents.ts'
import { recordedWake } from './fake-ports.ts'
import {
  ACME,
  allocatedOn,
  anAgent,
  aSessionOn,
  aWrite,
  heldOn,
  ids,
  ofAcme,
  openStores,
  reported,
  type Stores,
  theSession,
  timeouts,
} from './rows.ts'

const everything = { limit: 500, cursor: null }

/** To be called in a `describe`: each test has agents of its own. */
export const draining = () => {
  let stores: Stores
  let here: Peer
  let there: Peer

  beforeEach(async () => {
    stores = await openStores()
    here = await anAgent(stores, { id: 'here' })
    there = await anAgent(stores, { id: 'there' })
    await beat(here, there)
  })
  afterEach(() => stores.close())

  /** Heard of, so that it counts as online. */
  const beat = (...peers: readonly Peer[]): Promise<unknown> =>
    stores.ask(
      `INSERT INTO agent_liveness (agent_id, last_heartbeat_at) SELECT unnest($1::text[]), now()
       ON CONFLICT (agent_id) DO UPDATE SET last_heartbeat_at = now()`,
      peers.map(({ agentId }) => agentId),
    )
  const says = async (peer: Peer, session: Session, status: 'running' | 'hibernated'): Promise<Session> => {
    await stores.reports.write([aWrite(peer, reported(session, peer, status))])
    return theSession(stores, session.id)
  }
  const runningOn = async (peer: Peer, overrides: Partial<Session> = {}): Promise<Session> =>
    says(peer, await aSessionOn(stores, peer.agentId, { persistentHome: false, ...overrides }), 'running')
  const begin = (agentId: AgentId = here.agentId) => stores.drains.begin(ofAcme(agentId), 'user:olga')
  /** One run of the duty. */
  const run = async () => {
    const { wake, woken } = recordedWake()
    const { drains, agents } = stores
    const duty = drainAgents({ drains, agents, wake, clock: { now: () => new Date() }, ids, timeouts })
    return { told: await duty.run(), woken }
  }
  const moves = () => stores.ask('SELECT session_id, generation FROM session_moves ORDER BY session_id')
  const figures = async (agentId: AgentId = here.agentId) => {
    const { remaining, moving, movable } = await stores.drains.progress(ACME, agentId, everything)
    return [remaining, moving, movable]
  }
  const consistent = async (): Promise<void> => {
    for (const { agentId } of [here, there])
      expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
    const rows = await stores.ask('SELECT session_id FROM outbox GROUP BY session_id, generation HAVING count(*) > 1')
    expect(rows, 'one command a generation').to.deep.equal([])
  }
  /** Put to rest by the drain, which has not gone on yet. */
  const restingHere = async (): Promise<Session> => {
    const session = await runningOn(here)
    await begin()
    await run()
    return says(here, await theSession(stores, session.id), 'hibernated')
  }
  /** Put to rest by the drain, and its agent has not answered. */
  const leavingHere = async (): Promise<Session> => {
    const session = await runningOn(here)
    await begin()
    await run()
    return theSession(stores, session.id)
  }

  return {
    get stores() {
      return stores
    },
    get here() {
      return here
    },
    get there() {
      return there
    },
    beat,
    says,
    runningOn,
    begin,
    run,
    moves,
    figures,
    consistent,
    restingHere,
    leavingHere,
  }
}
