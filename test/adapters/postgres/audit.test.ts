/** The audit trail as PostgreSQL keeps it. */
import { expect } from 'chai'
import { createAuditStore } from '../../../adapters/postgres/audit.ts'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import type { Database, Queries } from '../../../adapters/postgres/pool.ts'
import { E } from '../../../domain/fp.ts'
import type { ApiKeyId, UserId } from '../../../domain/ids.ts'
import type { AuditEntry, AuditEvent, AuditFilter, AuditScope } from '../../../domain/ports/audit.ts'
import type { Kept } from '../../../domain/ports/idempotency.ts'
import { stop } from '../../../domain/session/decide.ts'
import { keptWith } from '../../../src/kept-with.ts'
import type { Answer } from '../../../src/usecases/application.ts'
import { anAuditEntry } from '../../support/an-audit-entry.ts'
import {
  ACME,
  ANNA,
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  BEN,
  GLOBEX,
  nowhere,
  openStores,
  right,
  type Stores,
} from '../../support/rows.ts'

const ofAcme: AuditScope = { orgId: ACME, nobodys: false }
const keeping = (audit: AuditEntry): Kept => ({ orgId: audit.orgId ?? ACME, answer: null, audit })

describe('the audit trail', function () {
  this.timeout(120_000)
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const trail = () =>
    stores.ask('SELECT org_id, action, resource_id, outcome, before, after FROM audit_events ORDER BY id')
  const listed = async (scope: AuditScope, filter: AuditFilter = {}): Promise<readonly AuditEvent[]> => {
    const events: AuditEvent[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<Stores['audit']['list']>> = await stores.audit.list(scope, filter, {
        limit: 3,
        cursor,
      })
      events.push(...page.items)
      cursor = page.nextCursor
    } while (cursor !== null)
    return events
  }

  it('has what was written with new sessions, of whichever orgs, and none of what was not written', async () => {
    const [ours, theirs] = [aCreation(nowhere), aCreation(nowhere, { orgId: GLOBEX })]
    const full = await anAgent(stores, { id: 'full', capacity: { maxSessions: 0, cpuMillis: 0, memoryMib: 0 } })
    const refused = aCreation({ kind: 'placed', agentId: full.agentId, platform: 'process', region: null } as never)
    const about = (orgId: typeof ACME, resourceId: string) =>
      keeping(anAuditEntry({ orgId, action: 'createSession', resourceId, before: null }))
    await Promise.all([
      stores.unitOfWork.commit(ours, { kept: about(ACME, ours.session.id) }),
      stores.unitOfWork.commit(theirs, { kept: about(GLOBEX, theirs.session.id) }),
      stores.unitOfWork.commit(refused, { kept: about(ACME, refused.session.id) }),
    ])
    expect((await trail()).map(({ org_id, resource_id }) => [org_id, resource_id])).to.have.deep.members([
      [ACME, ours.session.id],
      [GLOBEX, theirs.session.id],
    ])
  })

  it('has what was written with a change of a session, and nothing of one that somebody else had changed', async () => {
    const agent = await anAgent(stores, { id: 'edge' })
    const session = await aSessionOn(stores, agent.agentId)
    const decision = right(stop(session, anIntent()))
    expect(E.isRight(await stores.unitOfWork.commit(decision, { kept: keeping(anAuditEntry()) }))).to.equal(true)
    expect(await trail()).to.deep.equal([
      {
        org_id: ACME,
        action: 'stopSession',
        resource_id: 'of-a-test',
        outcome: 'succeeded',
        before: { status: 'running' },
        after: { status: 'stopping' },
      },
    ])
    expect(E.isLeft(await stores.unitOfWork.commit(decision, { kept: keeping(anAuditEntry()) }))).to.equal(true)
    expect(await trail()).to.have.length(1)
  })

  /** Something that is written together with its entry. */
  const addingOrgs = () =>
    keptWith(
      stores.database,
      (within) => ({
        add:
          (name: string): Answer<string> =>
          async () => {
            await within.query({ text: 'INSERT INTO orgs (id, name) VALUES ($1, $1)', values: [name] })
            return E.right(name)
          },
      }),
      'add',
    )

  it('is never without the change, nor the change without it, wherever it ends', async () => {
    const unwritable = keeping(anAuditEntry({ outcome: 'odd' as never }))
    const creation = aCreation(nowhere)
    const failed = await stores.unitOfWork.commit(creation, { kept: unwritable }).catch((error: Error) => error)
    expect(failed).to.be.instanceOf(Error)
    expect(await stores.ask('SELECT FROM sessions')).to.have.length(0)

    const cases = addingOrgs()
    await cases.add('written', () => keeping(anAuditEntry({ resourceId: 'written' })))()
    // As whoever is killed between the change and its entry: its connection ends.
    const cut = await cases
      .add('cut-short', () => {
        throw Object.assign(new Error('killed'), { code: '57P01' })
      })()
      .catch((error: Error) => error)
    expect(cut).to.be.instanceOf(Error)
    const unwritten = await cases
      .add('unwritten', () => unwritable)()
      .catch((error: Error) => error)
    expect(unwritten).to.be.instanceOf(Error)
    expect(await stores.ask(`SELECT id FROM orgs WHERE id NOT IN ('acme', 'globex')`)).to.deep.equal([
      { id: 'written' },
    ])
    expect((await trail()).map(({ resource_id }) => resource_id)).to.deep.equal(['written'])
  })

  it('of another org, to whose things it was done, is written in the same transaction, or nothing of it is', async () => {
    const cases = addingOrgs()
    const elsewhere = anAuditEntry({ orgId: GLOBEX, resourceId: 'theirs' })
    await cases.add('written', () => ({ ...keeping(anAuditEntry({ resourceId: 'ours' })), elsewhere: [elsewhere] }))()
    const unwritable = { ...elsewhere, outcome: 'odd' as never }
    const failed = await cases
      .add('unwritten', () => ({ ...keeping(anAuditEntry()), elsewhere: [elsewhere, unwritable] }))()
      .catch((error: Error) => error)
    expect(failed).to.be.instanceOf(Error)
    expect(await stores.ask(`SELECT id FROM orgs WHERE id NOT IN ('acme', 'globex')`)).to.deep.equal([
      { id: 'written' },
    ])
    expect((await trail()).map(({ org_id, resource_id }) => [org_id, resource_id])).to.deep.equal([
      [ACME, 'ours'],
      [GLOBEX, 'theirs'],
    ])
  })

  it('of very many orgs is written for each of them once, or nothing of it is', async () => {
    const cases = addingOrgs()
    const orgs = Array.from({ length: 1_001 }, (_, n) => `org-${String(n).padStart(4, '0')}`)
    const elsewhere = orgs.map((org) => anAuditEntry({ orgId: org as typeof ACME }))
    await cases.add('written', () => ({ ...keeping(anAuditEntry()), elsewhere }))()
    expect((await trail()).map(({ org_id }) => org_id).toSorted()).to.deep.equal([ACME, ...orgs])
    for (const nth of [600, 1_000]) {
      const unwritable = elsewhere.with(nth, anAuditEntry({ outcome: 'odd' as never }))
      const failed = await cases
        .add(`unwritten-${nth}`, () => ({ ...keeping(anAuditEntry()), elsewhere: unwritable }))()
        .catch((error: Error) => error)
      expect(failed).to.be.instanceOf(Error)
    }
    expect(await trail()).to.have.length(1_002)
  })

  it('is changed and emptied by neither of the roles that the server takes', async () => {
    await stores.audit.add([anAuditEntry()])
    for (const queries of [stores.database, stores.database.of(ACME)])
      for (const text of [
        `UPDATE audit_events SET outcome = 'failed'`,
        'DELETE FROM audit_events',
        'TRUNCATE audit_events',
        'DROP TABLE audit_events',
        'ALTER TABLE audit_events DISABLE ROW LEVEL SECURITY',
        'CREATE OR REPLACE FUNCTION remove_audit_events(float8, int) RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$',
      ]) {
        const refused = await queries.query({ text }).catch((error: { code?: string }) => error.code)
        expect(refused, text).to.equal('42501')
      }
    expect(await trail()).to.have.length(1)
    const byTenant = await stores.database
      .of(ACME)
      .query({ text: 'SELECT remove_audit_events(0, 10)' })
      .catch((error: { code?: string }) => error.code)
    expect(byTenant).to.equal('42501')
  })

  it('loses what is older than the setting says, and nothing of the last thirty days whatever is asked', async () => {
    for (const days of [400, 366, 364, 31, 29, 0])
      await stores.ask(
        `INSERT INTO audit_events (org_id, at, action, resource, outcome, status, request_id, ip, resource_id)
         VALUES (CASE WHEN $1::int > 100 THEN 'acme' ELSE '' END, now() - $1 * interval '1 day', 'x', 'y', 'refused', 401, 'z', '', $1::text)`,
        days,
      )
    const left = async () => (await trail()).map(({ resource_id }) => resource_id)
    const day = 86_400_000
    expect(await stores.retention.auditEvents(365 * day, null, 1)).to.deep.equal({ removed: 1, next: [] })
    expect(await stores.retention.auditEvents(365 * day, null, 10)).to.deep.equal({ removed: 1, next: null })
    expect(await left()).to.deep.equal(['364', '31', '29', '0'])
    expect(await stores.retention.auditEvents(0, null, 10)).to.deep.equal({ removed: 2, next: null })
    expect(await left()).to.deep.equal(['29', '0'])
  })

  it('is listed newest first, page by page, by who, what, of which thing, when and what became of it', async () => {
    const key = '01900000-0000-7000-8000-000000000001' as ApiKeyId
    await stores.audit.add([
      anAuditEntry({ resourceId: 'a', userId: ANNA }),
      anAuditEntry({ resourceId: 'b', userId: BEN, action: 'createSession' }),
      anAuditEntry({ resourceId: 'c', userId: ANNA, outcome: 'refused', status: 403, code: 'forbidden' }),
      anAuditEntry({ resourceId: 'd', userId: 'user:odd' as UserId, resource: 'agent', keyId: key }),
      anAuditEntry({ resourceId: 'e', orgId: GLOBEX }),
      anAuditEntry({ resourceId: 'f', orgId: null, userId: null, role: null, outcome: 'refused', status: 401 }),
    ])
    const found = async (filter: AuditFilter, scope = ofAcme) =>
      (await listed(scope, filter)).map(({ resourceId }) => resourceId).join('')
    expect(await found({})).to.equal('dcba')
    expect(await found({}, { orgId: ACME, nobodys: true })).to.equal('fdcba')
    expect(await found({}, { orgId: GLOBEX, nobodys: false })).to.equal('e')
    expect(await found({ actor: [ANNA] })).to.equal('ca')
    expect(await found({ actor: [`user:${BEN}`, `key:${key}`] })).to.equal('db')
    expect(await found({ action: ['createSession'] })).to.equal('b')
    expect(await found({ resource: ['agent'] })).to.equal('d')
    expect(await found({ resource: ['agent', 'session'], resourceId: ['a', 'd', 'e'] })).to.equal('da')
    expect(await found({ outcome: ['refused', 'failed'] })).to.equal('c')
    expect(await found({ from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 60_000) })).to.equal('dcba')
    expect(await found({ to: new Date(Date.now() - 60_000) })).to.equal('')
    const [newest] = await listed(ofAcme)
    expect(newest).to.deep.include({ orgId: ACME, keyId: key, ip: '203.0.113.9', userAgent: 'a test', status: 202 })
    expect(newest?.at).to.be.instanceOf(Date)
  })

  const many = async (rows: number, minutes: number): Promise<void> => {
    await stores.ask(
      `INSERT INTO audit_events (org_id, at, user_id, role, action, resource, resource_id, outcome, status, request_id, ip, after)
       SELECT 'acme', now() - (n % $2::int) * interval '1 minute', 'user ' || n % 1000, 'user', 'createSession', 'session', 'session ' || n,
              CASE WHEN n % 10000 = 0 THEN 'refused' ELSE 'succeeded' END, 201, 'request ' || n, '203.0.113.9',
              jsonb_build_object('name', repeat('x', 400))
         FROM generate_series(1, $1::int) n`,
      rows,
      minutes,
    )
    await stores.ask('ANALYZE audit_events')
  }

  it('is exported oldest first, each once, a few at a time and none ahead, without what came after it began', async () => {
    // Of each moment several, so that pages end between those of one moment.
    const ROWS = 2_750
    await many(ROWS, 400)
    let [asked, read] = [0, 0]
    const counting = (queries: Queries): Queries => ({
      ...queries,
      query: async (query) => {
        asked += 1
        const answer = await queries.query(query)
        read += answer.rows.length
        return answer
      },
    })
    const counted: Database = { ...stores.database, of: (orgs) => counting(stores.database.of(orgs)) }
    const audit = createAuditStore(counted, createCursors(Buffer.alloc(32, 7)))
    let [taken, last, pages] = [0, 0, 0]
    const seen = new Set<number>()
    for await (const events of audit.all(ofAcme, {})) {
      pages += 1
      taken += events.length
      expect(events.length).to.be.at.most(500)
      // Whoever takes its time with these is waited for: the last row that is to be exported was looked up, and nothing is read ahead.
      if (pages === 1) await stores.audit.add([anAuditEntry({ resourceId: 'late' })])
      else await stores.ask('SELECT 1')
      expect({ asked, ahead: read - taken }).to.deep.equal({ asked: 1 + pages, ahead: 1 })
      for (const { id, at, resourceId } of events) {
        expect(at.getTime()).to.be.at.least(last)
        last = at.getTime()
        seen.add(id)
        expect(resourceId).not.to.equal('late')
      }
    }
    expect([taken, seen.size]).to.deep.equal([ROWS, ROWS])
    expect(pages).to.be.at.least(ROWS / 500)
  })

  describe('of a hundred thousand', () => {
    beforeEach(() => many(100_000, 1_000))

    it('is read along indexes, as the role that an org has', async () => {
      const plans = async (filter: AuditFilter): Promise<string> => {
        let asked: { text: string; values?: readonly unknown[] } | null = null
        const overhearing = {
          ...stores.database,
          of: () => ({
            ...stores.database.of(ACME),
            query: async (query: { text: string; values?: readonly unknown[] }) => {
              asked = query
              return { rows: [], rowCount: 0 }
            },
          }),
        }
        await createAuditStore(overhearing as never, { encode: () => '', decode: () => null }).list(ofAcme, filter, {
          limit: 50,
          cursor: null,
        })
        const { text, values } = asked as unknown as { text: string; values: readonly unknown[] }
        const { rows } = await stores.database.of(ACME).query({ text: `EXPLAIN (ANALYZE, BUFFERS) ${text}`, values })
        return rows.map((row) => row['QUERY PLAN']).join('\n')
      }
      for (const filter of [
        {},
        { actor: ['user 7'] },
        { resourceId: ['session 5000'] },
        { outcome: ['refused', 'failed'] as const },
        { resource: ['agent'] },
        { from: new Date(Date.now() - 600_000) },
      ]) {
        const plan = await plans(filter)
        expect(plan, plan).to.include('Index Scan').and.not.to.include('Seq Scan')
        const [, hit = '0', read = '0'] = /Buffers: shared hit=(\d+)(?: read=(\d+))?/.exec(plan) ?? []
        expect(Number(hit) + Number(read), plan).to.be.below(500)
      }
    })
  })
})
