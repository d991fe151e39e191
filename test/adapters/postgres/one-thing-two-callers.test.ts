/** One thing may be changed from two orgs at once: by the installation from its own, and by whoever is in the org whose it is. */
import { expect } from 'chai'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { tokens } from '../../../adapters/secrets/tokens.ts'
import { changed } from '../../../domain/audit/difference.ts'
import { E } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { OrgId } from '../../../domain/ids.ts'
import type { Keep } from '../../../domain/ports/idempotency.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import { type KeptUseCases, keptUseCases } from '../../../src/kept-use-cases.ts'
import { createRecentTemplates } from '../../../src/placement/recent-templates.ts'
import type { Answer } from '../../../src/usecases/application.ts'
import { aCaller } from '../../support/a-caller.ts'
import { aDocument } from '../../support/a-template.ts'
import { anAuditEntry } from '../../support/an-audit-entry.ts'
import { ACME, enrolled, ids, openStores, type Stores, timeouts } from '../../support/rows.ts'

const HOME = 'home' as OrgId
const AT_ONCE = 24

describe('one thing that is changed from two orgs at once', function () {
  this.timeout(60_000)
  let stores: Stores
  let cases: KeptUseCases
  before(async () => {
    stores = await openStores()
    await stores.ask(`INSERT INTO orgs (id, name) VALUES ('home', 'Home')`)
    const nothing = (): void => {}
    cases = keptUseCases({
      database: stores.database,
      cursors: createCursors(Buffer.alloc(32, 7)),
      clock: { now: () => new Date() },
      ids,
      tokens,
      gateway: { disconnect: nothing },
      wake: { agents: nothing },
      keysEnded: nothing,
      askInventory: nothing,
      templates: createRecentTemplates(stores.templates),
      matches: () => true,
      seal: () => Buffer.alloc(0),
      webhooks: {
        checkTarget: () => null,
        jobs: { send: async () => {} },
        seal: () => Buffer.alloc(0),
        perOrg: 100,
      },
      settings: { heartbeatIntervalMs: 15_000, agentSilentAfterMs: 90_000, commandTtlMs: 900_000 },
      timeouts,
      told: nothing,
    })
  })
  beforeEach(() => stores.ask('TRUNCATE audit_events'))
  after(() => stores.close())

  const installation = aCaller({ orgId: HOME, role: 'installation' })
  const inAcme = aCaller({ orgId: ACME, role: 'installation', comesFrom: HOME })
  const operator = aCaller({ orgId: ACME, role: 'operator' })

  /** As the request's entry: what it found, and what it made of that. */
  const keeping =
    ({ orgId }: Caller) =>
    <A>(): Keep<A> =>
    (result, before) => ({
      orgId,
      answer: null,
      audit: anAuditEntry({ orgId, ...changed(before?.was as object | undefined, result as object) }),
    })

  const atOnce = async (
    callers: readonly Caller[],
    change: (caller: Caller, n: number, keep: <A>() => Keep<A>) => Answer<unknown>,
  ): Promise<readonly string[]> => {
    const outcomes = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, n) => {
        const caller = callers[n % callers.length] as Caller
        return change(caller, n, keeping(caller))()
      }),
    )
    return outcomes.map((outcome) => (E.isLeft(outcome) ? outcome.left._tag : 'done'))
  }

  /** Each entry found what the one before has left. */
  const expectUnbroken = async (): Promise<void> => {
    const entries = await stores.ask('SELECT before, after FROM audit_events ORDER BY id')
    expect(entries).to.have.length(AT_ONCE)
    let is: { readonly [field: string]: unknown } = {}
    for (const [n, { before, after }] of entries.entries()) {
      for (const [field, was] of Object.entries(before ?? {}))
        if (n > 0 && field !== 'created')
          expect(was, `${field} of entry ${n}`).to.deep.equal(field in is ? is[field] : was)
      is = { ...is, ...after }
    }
  }

  it('is one: an org’s quota', async () => {
    const done = await atOnce([installation, inAcme], (caller, n, keep) =>
      cases.quotas.set(caller, ACME, { ...noQuota, maxSessions: n + 1 }, null, keep()),
    )
    expect(new Set(done)).to.deep.equal(new Set(['done']))
    await expectUnbroken()
  })

  it('is one: a shared agent', async () => {
    const id = await enrolled(stores, { id: 'shared', orgId: null })
    const done = await atOnce([installation, inAcme], (caller, n, keep) =>
      n % 4 < 2 ? cases.agents.cordon(caller, id, null, keep()) : cases.agents.uncordon(caller, id, null, keep()),
    )
    expect(new Set(done)).to.deep.equal(new Set(['done']))
    await expectUnbroken()
  })

  it('is one: the removal of orphans', async () => {
    const done = await atOnce([installation, inAcme], (caller, n, keep) =>
      n % 4 < 2 ? cases.orphans.halt(caller, null, keep()) : cases.orphans.resume(caller, null, keep()),
    )
    expect(new Set(done)).to.deep.equal(new Set(['done']))
    await expectUnbroken()
  })

  it('is one: an org’s template, of which the installation’s own and the public one of that name are none', async () => {
    const titled = (displayName: string) => aDocument({ name: 'shared-name', displayName })
    await stores.templates.put(HOME, titled('of home'))
    await stores.templates.put(null, titled('of everybody'))
    const done = await atOnce([installation, operator], (caller, n, keep) =>
      cases.templates.put(caller, titled(`title ${n}`), ACME, null, keep()),
    )
    expect(new Set(done)).to.deep.equal(new Set(['done']))
    await expectUnbroken()
    const [first] = await stores.ask('SELECT before FROM audit_events ORDER BY id LIMIT 1')
    expect(first.before).to.equal(null)
  })

  for (const [what, change] of [
    [
      'quota',
      (caller, n, keep) => cases.quotas.set(caller, ACME, { ...noQuota, maxRunning: n + 1 }, [AT_ONCE], keep()),
    ],
    [
      'template',
      (caller, n, keep) =>
        cases.templates.put(caller, aDocument({ name: 'guarded', displayName: `${n}` }), ACME, [1], keep()),
    ],
  ] as const satisfies readonly [string, Parameters<typeof atOnce>[1]][])
    it(`lets one of many through who have read the same version of a ${what}, and tells of that one alone`, async () => {
      await stores.templates.put(ACME, aDocument({ name: 'guarded', displayName: 'first' }))
      const done = await atOnce([installation, what === 'quota' ? inAcme : operator], change)
      expect(done.filter((outcome) => outcome === 'done')).to.have.length(1)
      expect(new Set(done)).to.deep.equal(new Set(['done', 'VersionMismatch']))
      expect(await stores.ask('SELECT FROM audit_events')).to.have.length(1)
    })

  it('is waited for by nobody who could not change it', async () => {
    const agentId = await enrolled(stores, { id: 'of-acme' })
    const globex = aCaller({ orgId: 'globex' as OrgId, role: 'operator' })
    const shared = await enrolled(stores, { id: 'of-all', orgId: null })
    // As somebody does who is in the middle of changing them.
    await stores.database.together(async (bound) => {
      for (const thing of ['agent\nof-acme', 'agent\nof-all'])
        await bound.query({
          text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))',
          values: [`audited\n${thing}`],
        })
      const refused = async (id: typeof agentId) => {
        const outcome = await cases.agents.cordon(globex, id, null, keeping(globex)())()
        return E.isLeft(outcome) ? outcome.left._tag : 'done'
      }
      expect([await refused(agentId), await refused(shared)]).to.deep.equal(['NotFound', 'Forbidden'])
    })
  })
})
