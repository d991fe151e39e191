/** What an org has is counted by whatever changes it: it is what a recount says, whatever happened and whatever happens meanwhile. */
import { expect } from 'chai'
import fc from 'fast-check'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { E } from '../../../domain/fp.ts'
import { noQuota, type Quota } from '../../../domain/quota/quota.ts'
import { forceRemove, hibernate, remove, restart, start, stop } from '../../../domain/session/decide.ts'
import type { Decision, Session } from '../../../domain/session/session.ts'
import { eventually } from '../../support/eventually.ts'
import {
  ACME,
  ANNA,
  aCreation,
  anAgent,
  anIntent,
  aWrite,
  BEN,
  GLOBEX,
  nowhere,
  on,
  openStores,
  reported,
  type Stores,
  storesOver,
} from '../../support/rows.ts'

const AMPLE: Quota = { ...noQuota, maxSessions: 1_000_000 }

describe('what an org has of its quota', function () {
  this.timeout(120_000)
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const counted = async (): Promise<unknown> =>
    stores.ask(
      `SELECT org_id, scope, name, sessions, running, cpu_millis, memory_mib FROM quota_usage
        WHERE sessions <> 0 OR running <> 0 OR cpu_millis <> 0 OR memory_mib <> 0 ORDER BY 1, 2, 3`,
    )
  const recounted = async (orgs: readonly string[]): Promise<unknown> =>
    stores.ask(
      `SELECT s.org_id, of.scope, of.name, count(*) AS sessions, count(*) FILTER (WHERE desired_state = 'running') AS running,
              coalesce(sum(cpu_millis) FILTER (WHERE desired_state = 'running'), 0)::bigint AS cpu_millis,
              coalesce(sum(memory_mib) FILTER (WHERE desired_state = 'running'), 0)::bigint AS memory_mib
         FROM sessions s
        CROSS JOIN LATERAL (VALUES ('org', ''), ('user', user_id), ('template', template_name)) of (scope, name)
        WHERE deleted_at IS NULL AND desired_state <> 'deleted' AND org_id = ANY($1)
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
      orgs,
    )

  it('is what a recount says, after any life of its sessions', async () => {
    const peer = await anAgent(stores, { id: 'edge', orgId: null })
    for (const orgId of [ACME, GLOBEX]) await stores.quotas.set(orgId, AMPLE, null)
    const all: Session['id'][] = []
    const act = async (what: string, which: number, cpuMillis: number): Promise<void> => {
      if (what === 'create' || all.length === 0) {
        const creation = aCreation(which % 2 === 0 ? nowhere : on(peer.agentId), {
          orgId: which % 3 === 0 ? GLOBEX : ACME,
          userId: which % 5 === 0 ? BEN : ANNA,
          resources: { cpuMillis, memoryMib: 2 * cpuMillis },
        })
        if (E.isRight(await stores.unitOfWork.commit(creation))) all.push(creation.session.id)
        return
      }
      const [session] = await stores.sessions.loadMany([all[which % all.length] as Session['id']])
      if (session === undefined) return
      if (what === 'report') {
        if (session.agentId === null || session.deletedAt !== null) return
        const status = session.desiredState === 'running' ? 'running' : 'stopped'
        try {
          await stores.reports.write([aWrite(peer, reported(session, peer, status))])
        } catch {
          // There was nothing to be said of it.
        }
        return
      }
      if (session.deletedAt !== null) return
      const decided = decide(what, session, on(peer.agentId))
      if (decided !== null) await stores.unitOfWork.commit(decided)
    }
    const step = fc.tuple(
      fc.constantFrom(
        'create',
        'start',
        'stop',
        'hibernate',
        'restart',
        'remove',
        'force',
        'report',
        'create',
        'report',
      ),
      fc.nat(1_000),
      fc.integer({ min: 1, max: 2_000 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { maxLength: 25 }), async (life) => {
        // What is in one step happens at once.
        for (const together of life)
          await Promise.all(together.map(([what, which, cpuMillis]) => act(what, which, cpuMillis)))
        expect(await counted()).to.deep.equal(await recounted([ACME, GLOBEX]))
      }),
      { numRuns: 15 },
    )
    const [ended] = await stores.ask(`SELECT count(*) AS n FROM sessions WHERE deleted_at IS NOT NULL`)
    expect(ended.n).to.be.greaterThan(5)
  })

  it('is right from the first, though it is set while sessions come and go', async () => {
    const peer = await anAgent(stores, { id: 'edge', orgId: null })
    const other = openDatabase({ url: stores.url })
    try {
      const replicas = [stores, storesOver(other)]
      for (let round = 0; round < 8; round += 1) {
        for (const orgId of [ACME, GLOBEX]) await stores.quotas.set(orgId, noQuota, null)
        expect(await counted()).to.deep.equal([])
        let going = true
        let made = 0
        const work = Array.from({ length: 16 }, async (_, index) => {
          const { unitOfWork, sessions } = replicas[index % 2] as Stores
          while (going) {
            const orgId = (index + made) % 2 === 0 ? ACME : GLOBEX
            const creation = aCreation(index % 4 === 0 ? nowhere : on(peer.agentId), { orgId })
            if (E.isLeft(await unitOfWork.commit(creation))) continue
            made += 1
            const [session] = await sessions.loadMany([creation.session.id])
            const what = ['stop', 'remove', 'keep'][index % 3] ?? ''
            const decided = session === undefined ? null : decide(what, session, nowhere)
            if (decided !== null) await unitOfWork.commit(decided)
          }
        })
        await eventually(() => expect(made).to.be.greaterThan(50))
        for (const orgId of [ACME, GLOBEX]) await stores.quotas.set(orgId, AMPLE, null)
        const before = made
        await eventually(() => expect(made).to.be.greaterThan(before + 50))
        going = false
        await Promise.all(work)
        expect(await counted()).to.deep.equal(await recounted([ACME, GLOBEX]))
      }
    } finally {
      await other.close()
    }
  })

  it('is counted from the first quota on, and shown without one', async () => {
    const peer = await anAgent(stores, { id: 'edge' })
    await stores.unitOfWork.commit(aCreation(on(peer.agentId)))
    await stores.unitOfWork.commit(aCreation(nowhere, { userId: BEN }))
    const expected = {
      sessions: 2,
      running: 2,
      cpuMillis: 1_000,
      memoryMib: 1_024,
      perUser: {
        anna: { sessions: 1, running: 1, cpuMillis: 500, memoryMib: 512 },
        ben: { sessions: 1, running: 1, cpuMillis: 500, memoryMib: 512 },
      },
      perTemplate: { 'hello-web': { sessions: 2, running: 2, cpuMillis: 1_000, memoryMib: 1_024 } },
    }
    expect(await counted()).to.deep.equal([])
    expect(await stores.quotas.usage(ACME, {})).to.deep.equal(expected)
    await stores.quotas.set(ACME, AMPLE, null)
    expect(await stores.quotas.usage(ACME, {})).to.deep.equal(expected)
    expect(await counted()).to.deep.equal(await recounted([ACME]))
    const { perUser, perTemplate } = await stores.quotas.usage(ACME, { user: ['ben', 'nobody'], template: [] })
    expect(perUser).to.deep.equal({
      ben: expected.perUser.ben,
      nobody: { sessions: 0, running: 0, cpuMillis: 0, memoryMib: 0 },
    })
    expect(perTemplate).to.deep.equal({})
    expect(await stores.quotas.usage(GLOBEX, {})).to.deep.include({ sessions: 0, perUser: {} })
  })
})

/** null: not in this state. */
const decide = (what: string, session: Session, slot: Parameters<typeof restart>[1]): Decision | null => {
  const intent = anIntent()
  switch (what) {
    case 'start':
      return E.getOrElseW(() => null)(start(session, 'start', slot, intent))
    case 'stop':
      return E.getOrElseW(() => null)(stop(session, intent))
    case 'hibernate':
      return E.getOrElseW(() => null)(hibernate(session, intent))
    case 'restart':
      return E.getOrElseW(() => null)(restart(session, slot, intent))
    case 'remove':
      return E.getOrElseW(() => null)(remove(session, intent))
    case 'force':
      return forceRemove(session, intent)
    default:
      return null
  }
}
