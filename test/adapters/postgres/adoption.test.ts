import { expect } from 'chai'
import { brake } from '../../../domain/agent/brake.ts'
import type { OrphanState } from '../../../domain/agent/orphan.ts'
import type { CommandId, OrgId, SessionId } from '../../../domain/ids.ts'
import type { LockedOrphan } from '../../../domain/ports/adoption.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { FoundOrphan } from '../../../domain/ports/orphans.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import { adopt } from '../../../domain/session/adopt.ts'
import { stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import type { ObservedStatus } from '../../../domain/session/words.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import {
  ACME,
  aDraft,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  commandsOf,
  commit,
  GLOBEX,
  heldOn,
  ids,
  ofAcme,
  openStores,
  right,
  type Stores,
  theSession,
  timeouts,
} from '../../support/rows.ts'

const everything = { limit: 500, cursor: null }

describe('adoption', function () {
  this.timeout(120_000)
  let stores: Stores
  let edge: Peer
  beforeEach(async () => {
    stores = await openStores()
    edge = await anAgent(stores, { id: 'edge' })
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const unknown = (id: SessionId = ids.session(), status: ObservedStatus = 'running'): FoundOrphan => ({
    entry: { sessionId: id, generation: 7, status },
    reason: 'unknown',
  })
  /** One inventory, as the use case has it, with so many sessions of the agent's own. */
  const inventory = async (peer: Peer, found: readonly FoundOrphan[]) => {
    const recorded = await stores.orphans.record(peer, { found, sessions: 9, graceMs: 0, spokenSince: new Set() })
    if (recorded.kind === 'fenced') throw new Error('fenced')
    return { resources: 9 + found.length, graceMs: 0, ...recorded }
  }
  const seen = async (peer: Peer = edge, status: ObservedStatus = 'running'): Promise<SessionId> => {
    const id = ids.session()
    await inventory(peer, [unknown(id, status)])
    return id
  }
  const adopting = (
    id: SessionId,
    more: { peer?: Peer; orgId?: OrgId | null; draft?: Partial<Session>; secrets?: Record<string, string> } = {},
  ) => {
    const { peer = edge, orgId = ACME, draft = {}, secrets = {} } = more
    return stores.adoption.adopt(
      { id: peer.agentId, orgId },
      id,
      judging(peer, orgId, aDraft(draft)),
      secrets,
      draft.orgId ?? ACME,
    )
  }
  const judging =
    (peer: Peer, orgId: OrgId | null, draft: Session) =>
    ({ orphan, removal, capacity, allocated }: LockedOrphan) =>
      adopt(
        draft,
        {
          orphan,
          removal,
          agent: {
            ...{ id: peer.agentId, orgId, platform: 'process', region: null, labels: {}, version: null },
            ...{
              status: 'online',
              statusReason: null,
              cordoned: false,
              draining: false,
              epoch: peer.epoch,
              replicaId: null,
            },
            ...{ connectedAt: null, disconnectedAt: null, lastHeartbeatAt: null, revision: 1, capacity, allocated },
          },
        },
        { actor: 'user:olga', at: new Date(), timeouts },
      )
  const states = async (id: SessionId): Promise<readonly OrphanState[]> =>
    (await stores.ask('SELECT state FROM orphans WHERE session_id = $1 ORDER BY id', id)).map(({ state }) => state)

  it('writes session, event, capacity and the end of the orphan, and no command', async () => {
    const id = await seen()
    const secrets = { PASSWORD: 'hunter2' }
    const done = await adopting(id, { draft: { name: 'Desk', labels: { team: 'web' } }, secrets })
    if (done.kind !== 'adopted') throw new Error(done.kind)
    const session = await theSession(stores, id)
    expect(session).to.deep.equal(done.decision.session)
    expect(session).to.deep.include({ name: 'Desk', status: 'running', generation: 7, agentId: edge.agentId })
    expect(await commandsOf(stores, id)).to.deep.equal([])
    expect(await allocatedOn(stores, edge.agentId)).to.deep.equal([1, 500, 512])
    expect(await heldOn(stores, edge.agentId)).to.deep.equal([1, 500, 512])
    expect(await states(id)).to.deep.equal(['adopted'])
    const history = await stores.queries.events({ orgId: ACME, ownerId: null }, id, everything)
    expect(history?.items.map(({ type, actor, generation }) => [type, actor, generation])).to.deep.equal([
      ['restored', 'user:olga', 7],
    ])
    const trail = (await stores.orphans.events(ofAcme(edge.agentId), everything)).items
    expect(trail.at(-1)).to.deep.include({ type: 'orphan_adopted', actor: 'user:olga' })
    expect(trail.at(-1)?.data).to.deep.equal({
      sessionId: id,
      generation: 7,
      orgId: ACME,
      userId: session.userId,
      template: 'hello-web',
    })
    // Sealed, and in the next command.
    await commit(stores, right(stop(session, anIntent())))
    const [command] = await stores.due(edge, 10, [])
    expect(command).to.deep.include({ sessionId: id, generation: 8, type: 'stop_session' })
    expect(command?.desired.spec.env).to.deep.include(secrets)
  })

  it('counts to the quota of its org, and is not refused by it', async () => {
    const quota = { ...noQuota, maxSessions: 1, maxRunning: 0 }
    await stores.quotas.set(ACME, quota, null)
    expect((await adopting(await seen())).kind).to.equal('adopted')
    expect((await adopting(await seen(edge, 'stopped'))).kind).to.equal('adopted')
    const counted = await stores.quotas.usage(ACME, {})
    expect(counted).to.deep.include({ sessions: 2, running: 1, cpuMillis: 500, memoryMib: 512 })
    expect(counted.perTemplate['hello-web']).to.deep.include({ sessions: 2, running: 1 })
  })

  it('of what rests takes no capacity; of what runs it does, even beyond what there is', async () => {
    const full = await anAgent(stores, { id: 'full', capacity: { maxSessions: 1, cpuMillis: 500, memoryMib: 512 } })
    await aSessionOn(stores, full.agentId)
    expect((await adopting(await seen(full, 'stopped'), { peer: full })).kind).to.equal('adopted')
    expect(await allocatedOn(stores, full.agentId)).to.deep.equal([1, 500, 512])
    const over = await adopting(await seen(full), { peer: full })
    expect(over.kind === 'adopted' && over.decision.session.statusMessage).to.match(/more than its capacity/)
    expect(await allocatedOn(stores, full.agentId)).to.deep.equal([2, 1_000, 1_024])
    expect(await heldOn(stores, full.agentId)).to.deep.equal([2, 1_000, 1_024])
  })

  it('into an org that is deleted meanwhile is refused, and leaves the orphan as it was', async () => {
    const shared = await anAgent(stores, { id: 'shared', orgId: null })
    const id = await seen(shared)
    await stores.orgs.remove(GLOBEX)
    const refusal = await adopting(id, { peer: shared, orgId: null, draft: { orgId: GLOBEX } }).catch(
      (error: unknown) => error,
    )
    expect(refusal).to.include({ code: '23503', message: 'the org was deleted' })
    expect(await stores.ask('SELECT FROM sessions')).to.deep.equal([])
  })

  it('of what is not there, or has ended, is of nothing', async () => {
    expect(await adopting(ids.session())).to.deep.equal({ kind: 'missing' })
    const gone = await seen()
    await inventory(edge, [])
    expect(await adopting(gone)).to.deep.equal({ kind: 'missing' })
    const other = await seen()
    expect(await adopting(other, { orgId: null })).to.deep.equal({ kind: 'missing' })
    await stores.agents.remove(ofAcme(edge.agentId))
    expect(await adopting(other)).to.deep.equal({ kind: 'missing' })
    expect(await stores.ask('SELECT FROM sessions')).to.have.length(0)
  })

  it('of another agent’s session changes nothing, neither the orphan nor that session', async () => {
    const theirs = await anAgent(stores, { id: 'theirs' })
    const session = await aSessionOn(stores, theirs.agentId)
    await inventory(edge, [{ ...unknown(session.id), reason: 'not_yours' }])
    expect(await adopting(session.id)).to.deep.include({ kind: 'refused' })
    // It was unknown when the inventory came, and has become that session since.
    await stores.ask(`UPDATE orphans SET reason = 'unknown'`)
    expect(await adopting(session.id)).to.deep.equal({ kind: 'is_a_session' })
    expect(await theSession(stores, session.id)).to.deep.equal(session)
    expect(await states(session.id)).to.deep.equal(['seen'])
    expect(await allocatedOn(stores, edge.agentId)).to.deep.equal([0, 0, 0])
    expect((await stores.orphans.events(ofAcme(edge.agentId), everything)).items.map(({ type }) => type)).to.deep.equal(
      ['orphans_seen'],
    )
  })

  it('by two at once happens once; whoever comes later hears that it is a session', async () => {
    for (let round = 0; round < 10; round += 1) {
      const id = await seen()
      const answers = await Promise.all(
        Array.from({ length: 4 }, (_, n) => adopting(id, { draft: { name: `by ${n}` } })),
      )
      const kinds = answers.map(({ kind }) => kind).toSorted()
      expect(kinds).to.deep.equal(['adopted', 'is_a_session', 'is_a_session', 'is_a_session'])
      expect(await states(id)).to.deep.equal(['adopted'])
    }
    expect(await allocatedOn(stores, edge.agentId)).to.deep.equal(await heldOn(stores, edge.agentId))
  })

  it('of one session from two agents that have it happens once', async () => {
    const twin = await anAgent(stores, { id: 'twin' })
    for (let round = 0; round < 10; round += 1) {
      const id = ids.session()
      for (const peer of [edge, twin]) await inventory(peer, [unknown(id)])
      const answers = await Promise.all([edge, twin].map((peer) => adopting(id, { peer })))
      expect(answers.map(({ kind }) => kind).toSorted()).to.deep.equal(['adopted', 'is_a_session'])
    }
    for (const { agentId } of [edge, twin])
      expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
  })

  it('wins or loses against its removal, never both', async () => {
    for (let round = 0; round < 30; round += 1) {
      const id = ids.session()
      await inventory(edge, [unknown(id)])
      const later = await inventory(edge, [unknown(id)])
      const [removal, adoption] = await Promise.all([
        stores.orphans.remove(edge, later, [ids.command()], brake),
        adopting(id),
      ])
      const removing = removal.kind === 'begun' ? removal.removing : 0
      expect(removing === 1 ? 'refused' : 'adopted', `round ${round}`).to.equal(adoption.kind)
      const commands = await stores.ask(
        `SELECT FROM outbox WHERE payload->>'sessionId' = $1 AND status = 'pending'`,
        id,
      )
      expect(commands).to.have.length(removing)
      expect(await states(id)).to.deep.equal([removing === 1 ? 'removing' : 'adopted'])
      // The brake counts what was begun: not in the way of the next round.
      await stores.ask(
        `UPDATE orphans SET removal_begun_at = now() - interval '2 days', ended_at = coalesce(ended_at, now())`,
      )
    }
  })

  it('loses against a removal that is committed while it waits for the orphan', async () => {
    const id = await seen()
    await stores.orphans.approve(ofAcme(edge.agentId), [id], 'user:anna')
    const command = ids.command()
    const removing = await holding(
      stores.url,
      [
        `UPDATE orphans SET state = 'removing', command_id = $2, removal_begun_at = now() WHERE session_id = $1`,
        id,
        command,
      ],
      [
        `INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, created_at)
         VALUES ($1, 'acme', 'edge', $1, 8, 'delete_session', '{}', now())`,
        command,
      ],
    )
    const adoption = adopting(id)
    await lockWaits(stores.ask, 1)
    await removing.release()
    const answer = await adoption
    expect(answer.kind === 'refused' && answer.refusal).to.deep.include({ why: 'being_removed' })
    expect(await stores.ask('SELECT FROM sessions')).to.have.length(0)
  })

  it('of what was to be removed in vain, or only approved, ends that: nothing removes it later', async () => {
    const approved = await seen()
    await stores.orphans.approve(ofAcme(edge.agentId), [approved], 'user:anna')
    expect((await adopting(approved)).kind).to.equal('adopted')
    expect(await stores.orphans.removeApproved(ofAcme(edge.agentId), [ids.command()])).to.equal(0)

    const id = ids.session()
    await inventory(edge, [unknown(id)])
    await stores.orphans.remove(edge, await inventory(edge, [unknown(id)]), [ids.command()], brake)
    expect((await adopting(id)).kind).to.equal('refused')
    const commandId = (await stores.due(edge, 10, []))[0]?.commandId as CommandId
    await stores.orphans.settle([{ peer: edge, commandId, fate: { status: 'dead', error: 'no' } }])
    expect((await adopting(id)).kind).to.equal('adopted')
    expect(await stores.due(edge, 10, [])).to.deep.equal([])
  })

  it('stands against an inventory that was read before it: nothing is removed, and the next one ends what that began', async () => {
    const id = await seen()
    expect((await adopting(id)).kind).to.equal('adopted')
    await inventory(edge, [unknown(id)])
    expect(await states(id)).to.deep.equal(['adopted', 'seen'])
    const again = await inventory(edge, [unknown(id)])
    expect(again.due).to.equal(0)
    expect(await stores.orphans.remove(edge, again, [ids.command()], brake)).to.deep.include({ removing: 0 })
    expect(await stores.orphans.approve(ofAcme(edge.agentId), null, 'user:anna')).to.deep.equal({
      kind: 'approved',
      count: 0,
    })
    expect(await adopting(id)).to.deep.equal({ kind: 'is_a_session' })
    await inventory(edge, [])
    expect(await states(id)).to.deep.equal(['adopted', 'known'])
    expect(await stores.due(edge, 10, [])).to.deep.equal([])
  })

  it('and the removal of its agent come one after the other: no session is left on an agent that is gone', async () => {
    for (let round = 0; round < 10; round += 1) {
      const peer = await anAgent(stores, { id: `leaving-${round}` })
      const id = await seen(peer)
      const [adoption] = await Promise.all([adopting(id, { peer }), stores.agents.remove(ofAcme(peer.agentId))])
      expect(adoption.kind).to.be.oneOf(['adopted', 'missing'])
      const [session] = await stores.sessions.loadMany([id])
      expect(session?.status ?? 'none').to.equal(adoption.kind === 'adopted' ? 'failed' : 'none')
    }
  })

  it('of an agent that is away waits for nobody', async () => {
    const id = await seen()
    await stores.ask('UPDATE agent_leases SET replica_id = NULL')
    expect((await adopting(id)).kind).to.equal('adopted')
  })
})
