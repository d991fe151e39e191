import { expect } from 'chai'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import { E } from '../../../domain/fp.ts'
import { cancel, redrive } from '../../../domain/outbox/intervene.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import { forceRemove, remove, restart, start, stop } from '../../../domain/session/decide.ts'
import { repair } from '../../../domain/session/repair.ts'
import type { Session } from '../../../domain/session/session.ts'
import { chances } from '../../support/chances.ts'
import { eventually } from '../../support/eventually.ts'
import {
  ACME,
  aCreation,
  acme,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  connected,
  heldOn,
  nowhere,
  on,
  openStores,
  replicaId,
  reported,
  right,
  type Stores,
  storesOver,
  theSession,
  timeouts,
} from '../../support/rows.ts'

/** Of each act, at least so many: then everything has met everything. */
const ACTS_OF_EACH = 20
const RUN_MS = 15_000
/** A slow machine takes longer for it. */
const LONGEST_RUN_MS = 90_000

/** Everything that writes sessions, agents, leases and outbox, in random order on the same few rows. */
describe('batches of reports, intents, notes, duties and connections that collide', function () {
  this.timeout(LONGEST_RUN_MS + 30_000)
  let quiet: Stores
  let crowd: Database
  let stores: ReturnType<typeof storesOver>
  let peers: Peer[]
  let sessions: Session[]
  const errors: unknown[] = []
  const counts = new Map<string, number>()

  const seed = Number(process.env.COLLISIONS_SEED ?? Math.floor(Math.random() * 2 ** 31))
  const chance = chances(seed)
  const pick = <A>(from: readonly A[]): A => from[Math.floor(chance() * from.length)] as A
  const some = <A>(from: readonly A[], count: number): A[] =>
    from
      .map((one) => [chance(), one] as const)
      .toSorted(([a], [b]) => a - b)
      .slice(0, count)
      .map(([, one]) => one)
  const peerOf = (session: Session): Peer => peers.find((peer) => peer.agentId === session.agentId)!

  const report = async (): Promise<void> => {
    const rows = await stores.sessions.loadMany(some(sessions, 12).map(({ id }) => id))
    const commands = await stores.ask(
      `SELECT session_id, command_id FROM outbox WHERE session_id = ANY($1::uuid[]) AND status = 'pending'`,
      rows.map(({ id }) => id),
    )
    await stores.reports.write(
      some(rows, rows.length).map((session) => {
        const peer = peerOf(session)
        const outcomes = commands
          .filter((row) => row.session_id === session.id && chance() < 0.5)
          .map((row) => ({
            commandId: row.command_id,
            fate: pick([
              { status: 'done', error: null } as const,
              { status: 'pending', error: 'again', retryInMs: 1 } as const,
            ]),
          }))
        const decision = reported(session, peer, pick(['running', 'starting', 'failed', 'stopped']))
        const changes = decision.session !== decision.previous && chance() < 0.8
        return aWrite(peer, decision, {
          decision: changes ? decision : null,
          outcomes,
          doneUpTo: chance() < 0.3 ? session.generation : null,
        })
      }),
    )
  }

  const intend = async (): Promise<void> => {
    const session = await theSession(stores, pick(sessions).id)
    const slot = on(session.agentId!)
    const decided = pick([
      () => stop(session, anIntent()),
      () => start(session, 'start', slot, anIntent()),
      () => restart(session, slot, anIntent()),
    ])()
    if (E.isRight(decided)) await stores.unitOfWork.commit(decided.right)
  }

  /** One that comes and goes, within the quota or refused by it. */
  const visit = async (): Promise<void> => {
    const peer = pick(peers)
    const creation = aCreation(pick([on(peer.agentId), nowhere]))
    if (E.isLeft(await stores.unitOfWork.commit(creation))) return
    const session = await theSession(stores, creation.session.id)
    await stores.unitOfWork.commit(pick([forceRemove(session, anIntent()), right(remove(session, anIntent()))]))
  }

  const quota = async (): Promise<void> => {
    await stores.quotas.set(
      ACME,
      pick([noQuota, { ...noQuota, maxRunning: 12 }, { ...noQuota, maxSessions: 1_000 }]),
      null,
    )
  }

  const note = async (): Promise<void> => {
    const rows = await stores.ask(`SELECT command_id, agent_id FROM outbox WHERE status = 'pending'`)
    const at = new Date()
    await stores.outbox.note(
      some(rows, 20).map((row) => ({
        ...peers.find(({ agentId }) => agentId === row.agent_id)!,
        commandId: row.command_id,
        sentAt: at,
        ackedAt: pick([at, null]),
        unacked: 1,
      })),
    )
  }

  const reconnect = async (): Promise<void> => {
    const index = Math.floor(chance() * peers.length)
    peers[index] = await connected(stores, peers[index]!.agentId)
  }

  const beat = async (): Promise<void> => {
    const beats = some(peers, 4).map((peer) => ({
      ...peer,
      activeSessions: 1,
      inventoryHash: '0',
      degradedReason: null,
      capacity: { maxSessions: 900 + Math.floor(chance() * 100), cpuMillis: 1_000_000, memoryMib: 1_000_000 },
    }))
    await stores.leases.heartbeat(beats, replicaId)
  }

  /** An operator's word on some command, and everybody's who was faster. */
  const operate = (decide: typeof redrive | typeof cancel, status: string) => async (): Promise<void> => {
    const rows = await stores.ask('SELECT command_id FROM outbox WHERE status = $1', status)
    if (rows.length === 0) return
    const command = await stores.commands.get(acme, pick(rows).command_id)
    if (command === null) return
    const session = await theSession(stores, command.sessionId as Session['id'])
    const decided = decide(session, command, { actor: 'user:anna', at: new Date(), timeouts })
    if (E.isRight(decided)) await stores.commands.change(decided.right)
  }

  const repairSome = async (): Promise<void> => {
    const peer = pick(peers)
    const own = sessions.filter(({ agentId }) => agentId === peer.agentId)
    const rows = await stores.sessions.loadMany(some(own, 4).map(({ id }) => id))
    const running = rows.filter(({ status }) => status === 'running')
    await stores.reports.repair(
      peer,
      running.map((session) => repair(session, 0, anIntent())),
    )
  }

  const acts: { readonly [name: string]: () => Promise<unknown> } = {
    report,
    intend,
    visit,
    quota,
    note,
    reconnect,
    redeliver: () =>
      stores.reports.redeliver(
        some(sessions, 10).map(({ id }) => id),
        pick([undefined, ...peers]),
      ),
    repair: repairSome,
    redrive: operate(redrive, 'dead'),
    cancel: operate(cancel, 'pending'),
    activity: () =>
      stores.reports.activity(
        some(sessions, 10).map((session) => ({ sessionId: session.id, peer: peerOf(session), at: new Date() })),
      ),
    sweep: () => Promise.all([stores.duties.endBackOffs(20), stores.duties.giveUp(20)]),
    beat,
    freed: () => stores.duties.releaseDeadReplicas(60_000),
  }

  before(async () => {
    quiet = await openStores()
    crowd = openDatabase({ url: quiet.url, maxConnections: 16, applicationName: 'crowd' })
    stores = storesOver(crowd)
    peers = []
    for (let n = 0; n < 4; n += 1) peers.push(await anAgent(stores, { id: `agent-${n}`, orgId: ACME }))
    sessions = await Promise.all(
      Array.from({ length: 24 }, (_, n) => aSessionOn(stores, peers[n % peers.length]!.agentId)),
    )
  })
  after(() => quiet.close())

  it('fail nobody, deadlock nowhere, and leave every count right', async () => {
    const began = performance.now()
    const each = (): boolean => Object.keys(acts).every((name) => (counts.get(name) ?? 0) >= ACTS_OF_EACH)
    const goesOn = (): boolean => {
      const ran = performance.now() - began
      return ran < RUN_MS || (ran < LONGEST_RUN_MS && !each())
    }
    const worker = async (): Promise<void> => {
      while (goesOn()) {
        const [name, act] = pick(Object.entries(acts))
        try {
          await act()
          counts.set(name, (counts.get(name) ?? 0) + 1)
        } catch (error) {
          errors.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    expect(errors, `COLLISIONS_SEED=${seed} draws the same acts`).to.deep.equal([])
    for (const name of Object.keys(acts)) expect(counts.get(name), name).to.be.at.least(ACTS_OF_EACH)

    for (const { agentId } of peers)
      expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
    await stores.quotas.set(ACME, { ...noQuota, maxSessions: 1_000 }, null)
    const counted = await stores.quotas.usage(ACME, {})
    await stores.quotas.set(ACME, noQuota, null)
    expect(counted).to.deep.equal(await stores.quotas.usage(ACME, {}))
    const doubled = await stores.ask(
      `SELECT session_id FROM outbox o JOIN sessions s ON s.id = o.session_id
        WHERE o.status = 'pending' AND o.generation < s.generation`,
    )
    expect(doubled).to.deep.equal([])

    // A connection adds what it counted when it ends.
    await crowd.close()
    await eventually(async () => {
      const left = await quiet.ask(`SELECT pid FROM pg_stat_activity WHERE application_name = 'crowd'`)
      expect(left).to.deep.equal([])
    })
    const rows = await quiet.ask('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()')
    expect(rows).to.deep.equal([{ deadlocks: 0 }])
  })
})
