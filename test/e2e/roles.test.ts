/** Every operation, asked by every role about what is its own, another user's and another org's. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import pg from 'pg'
import type { Role } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import { type OperationId, type Route, routes } from '../../src/api/routes.ts'
import { matrix, ROLES, type Row, type Thing, type Whose } from '../support/role-matrix.ts'
import { eventually } from './support/eventually.ts'
import { connect } from './support/raw-agent.ts'
import { type Answer, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'
import { unlockedServer } from './support/unlocked-server.ts'

const PLENTY = { maxSessions: 10_000, cpuMillis: 10_000_000, memoryMib: 10_000_000 }

describe('what a role may do', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let databaseUrl: string
  let control: Server
  /** In each org a key of each role; the installation's acts in the org by its header. */
  const callers = new Map<string, Rest>()

  const callerOf = (org: string, role: Role, user: string = role): Rest => {
    const found = callers.get(`${org} ${role} ${user}`)
    if (found === undefined) throw new Error(`no ${role} in ${org}`)
    return found
  }
  const made = (answer: Answer): Answer['body'] => {
    if (answer.status >= 300) throw new Error(`not made: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const keyFor = async (org: string, role: Role, user: string): Promise<string> =>
    made(await control.rest.post('/api-keys', { role, userId: user }, { 'streamspace-org': org })).key

  before(async () => {
    databaseUrl = await migratedDatabase(here)
    control = await server(here, databaseUrl)
    for (const id of ['acme', 'globex']) {
      made(await control.rest.post('/orgs', { id }))
      for (const role of ROLES) {
        const key = await keyFor(id, role, role)
        callers.set(`${id} ${role} ${role}`, rest(control.url, key))
        const other = await keyFor(id, role, 'somebody-else')
        callers.set(`${id} ${role} somebody-else`, rest(control.url, other))
      }
    }
    // There, and no more than that: what is sent to it stays as it is.
    for (const org of ['acme', 'globex']) {
      const id = `${org}-1`
      const { token } = made(await callerOf(org, 'admin').post('/agents', { id, platform: 'process' }))
      const agent = await connect(here, control.url, { id, token })
      await agent.begin([], { capacity: PLENTY })
      // These tests may last longer than an agent may be silent.
      const beating = setInterval(() => agent.heartbeat(), 5_000)
      here.finally(async () => clearInterval(beating))
    }
  })

  const unique = (): string => `t-${randomUUID().slice(0, 8)}`

  /** What goes into the path. */
  const things: { readonly [T in Thing]: (org: string, user: string) => Promise<string> } = {
    nothing: async () => '',
    queue: async () => 'duty.sweep',
    // One that is deleted is gone for good.
    org: async (org) => (org === 'acme' ? org : made(await control.rest.post('/orgs', { id: unique() })).id),
    session: async (org, user) => made(await ownerOf(org, user).post('/sessions', { template: 'hello-web' })).id,
    'stopped session': async (org, user) => {
      const id = await things.session(org, user)
      made(await ownerOf(org, user).post(`/sessions/${id}/stop`))
      return id
    },
    command: async (org, user) => {
      const id = await things.session(org, user)
      const { items } = made(await callerOf(org, 'operator').get(`/commands?session=${id}`))
      return items[0].id
    },
    template: async (org) => {
      const name = unique()
      made(
        await callerOf(org, 'admin').post('/templates', {
          name,
          displayName: name,
          spec: { process: { command: ['true'] } },
        }),
      )
      return name
    },
    agent: async (org) => {
      const id = unique()
      made(await callerOf(org, 'admin').post('/agents', { id, platform: 'process' }))
      return id
    },
    // Nothing listens there, and nothing is sent: no session of these tests is placed.
    webhook: async (org) =>
      made(await callerOf(org, 'admin').post('/webhooks', { url: 'https://192.0.66.2/', events: ['restored'] })).id,
    key: async (org) => made(await callerOf(org, 'admin').post('/api-keys', { role: 'viewer' })).id,
  }
  /** Viewers make nothing of their own: an admin of their name does. */
  const ownerOf = (org: string, user: string): Rest =>
    user === 'viewer'
      ? callerOf(org, 'operator')
      : (callers.get(`${org} ${user} ${user}`) ?? callerOf(org, 'operator', 'somebody-else'))

  const ask = async (operationId: OperationId, role: Role, whose: Whose): Promise<Answer> => {
    const org = whose === 'elsewhere' ? 'globex' : 'acme'
    const thing = await things[matrix[operationId].on](org, whose === 'others' ? 'somebody-else' : role)
    return askAbout(operationId, thing, org, callerOf('acme', role))
  }
  const askAbout = (operationId: OperationId, thing: string, org: string, caller: Rest): Promise<Answer> => {
    const route: Route = routes[operationId]
    const row: Row = matrix[operationId]
    const params: { readonly [name: string]: string } = {
      sessionId: randomUUID(),
      deliveryId: randomUUID(),
      id: thing,
      name: thing,
      queue: thing,
    }
    // Of the two that the path of a job has, the queue is the thing.
    const values = operationId === 'retryJob' ? { ...params, id: randomUUID() } : params
    const path = route.path.replace('/api/v1', '').replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
    const body = row.body === undefined ? undefined : filled(row.body, org)
    return caller.ask(route.method.toUpperCase(), path, body === undefined ? {} : { body })
  }
  const filled = (body: object, org: string): object =>
    Object.fromEntries(
      Object.entries(body).map(([name, value]) => [name, value !== '*' ? value : name === 'orgId' ? org : unique()]),
    )

  for (const operationId of Object.keys(routes) as OperationId[]) {
    const { method, path, access }: Route = routes[operationId]
    const { statuses } = matrix[operationId]
    for (const [whose, expected] of Object.entries(statuses) as [Whose, readonly number[]][])
      it(`${method.toUpperCase()} ${path}, ${whose}: ${expected.join(' ')}`, async () => {
        const found: number[] = []
        for (const role of ROLES) found.push((await ask(operationId, role, whose)).status)
        expect(found, access).to.deep.equal(expected)
      })
  }

  describe('of another org', () => {
    const ids = Object.keys(routes) as OperationId[]
    const isAboutOrgs = (operationId: OperationId): boolean => matrix[operationId].on === 'org'
    /** What exists in the org that tells nothing by its own name, made once. */
    const theirs = new Map<Thing, string>()
    const their = async (thing: Thing): Promise<string> => {
      const known = theirs.get(thing) ?? (await things[thing]('globex', 'operator'))
      theirs.set(thing, known)
      return known
    }
    const missing = (thing: Thing): string => (['agent', 'template', 'org'].includes(thing) ? unique() : randomUUID())
    const words = ({ status, body }: Answer, thing: string): string =>
      `${status} ${JSON.stringify(body)}`.replaceAll(thing, 'IT').replace(/"requestId":"[^"]*"/, '')

    it('everything is as if it were not there: the same words, after the same statements', async () => {
      const seen = await unlockedServer(here, databaseUrl, 'neither')
      /** Who somebody is is asked once a second, whatever else they ask. Duties go on meanwhile. */
      const isAboutIt = (text: string): boolean => !/ FROM (api_keys|orgs)\b|replicas|now\(\) AS now/.test(text)
      let compared = 0
      for (const operationId of ids) {
        const { on, statuses }: Row = matrix[operationId]
        if (statuses.elsewhere === undefined || isAboutOrgs(operationId)) continue
        for (const role of ROLES) {
          const caller = rest(seen.url, callerOf('acme', role).key)
          const asked = async (thing: string) => {
            seen.statements()
            const answer = await askAbout(operationId, thing, 'globex', caller)
            return { words: words(answer, thing), statements: seen.statements().filter(isAboutIt) }
          }
          const [there, none] = [await their(on), missing(on)]
          // A duty may have sent something in between; what makes a difference makes it each time.
          await eventually(
            async () => expect(await asked(there), `${role} ${operationId}`).to.deep.equal(await asked(none)),
            { within: 5_000 },
          )
          compared += 1
        }
      }
      expect(compared).to.be.at.least(100)
      console.log(`      ${compared} refusals compared`)
    })

    /** What callers may change of the other org. */
    const picture = async (): Promise<unknown> => {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      const ask = async (text: string) => (await client.query(text)).rows
      try {
        return {
          sessions: await ask(
            `SELECT id, name, labels, desired_state, generation, version, deleted_at FROM sessions WHERE org_id = 'globex' ORDER BY id`,
          ),
          templates: await ask(`SELECT id, archived_at FROM templates WHERE org_id = 'globex' ORDER BY id`),
          agents: await ask(`SELECT id, cordoned, token_hash FROM agents WHERE org_id = 'globex' ORDER BY id`),
          keys: await ask(`SELECT id, hash, expires_at, revoked_at FROM api_keys WHERE org_id = 'globex' ORDER BY id`),
          commands: await ask(`SELECT id, status FROM outbox WHERE org_id = 'globex' ORDER BY id`),
          answers: await ask(`SELECT caller, key_hash FROM idempotency_keys WHERE org_id = 'globex' ORDER BY 1, 2`),
        }
      } finally {
        await client.end()
      }
    }
    /** Whose statements are for no org on purpose: the installation's, and one reader of the feed for all. */
    const isForNobody = (operationId: OperationId): boolean => {
      const { access }: Route = routes[operationId]
      return (
        access === 'anyone' ||
        access === 'administer_installation' ||
        isAboutOrgs(operationId) ||
        operationId === 'watchSessions'
      )
    }

    for (const [what, without, org] of [
      [
        'where each statement names the wrong org, PostgreSQL shows nothing and lets nothing be changed',
        { scope: 'acme' as OrgId },
        'globex',
      ],
      ['where PostgreSQL shows everything, each statement asks for its own org', 'policies', 'acme'],
    ] as const)
      it(what, async () => {
        const open = await unlockedServer(here, databaseUrl, without)
        const before = await picture()
        let asked = 0
        for (const operationId of ids) {
          if (isForNobody(operationId)) continue
          const { on }: Row = matrix[operationId]
          const thing = await their(on)
          const { tag }: Route = routes[operationId]
          // The trail of an org has what its own callers tried, and by which name.
          const secrets =
            tag === 'Audit' ? ['globex'] : [...theirs.values()].filter((one) => one !== thing && one !== '')
          const made = await picture()
          for (const role of ROLES) {
            // Its trail has what belongs to no org, too, and is read for none.
            if (tag === 'Audit' && role === 'installation') continue
            const answer = await askAbout(operationId, thing, org, rest(open.url, callerOf(org, role).key))
            const said = JSON.stringify(answer.body)
            const about = `${role} ${operationId}: ${answer.status} ${said}`
            // With a scope of its own, and nothing that the connection sees of it, it is refused or empty.
            if (on !== 'nothing') expect(answer.status, about).to.be.at.least(400)
            for (const secret of secrets) expect(said, about).not.to.include(secret)
            asked += 1
          }
          expect(await picture(), operationId).to.deep.equal(made)
        }
        expect(asked).to.be.at.least(150)
        expect(JSON.stringify(before).length).to.be.above(100)
        console.log(`      ${asked} requests`)
      })
  })
})
