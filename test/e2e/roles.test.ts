/** Every operation, asked by every role about what is its own, another user's and another org's. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import type { Role } from '../../domain/identity/caller.ts'
import { type OperationId, type Route, routes } from '../../src/api/routes.ts'
import { matrix, ROLES, type Thing, type Whose } from '../support/role-matrix.ts'
import { connect } from './support/raw-agent.ts'
import { type Answer, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'

const PLENTY = { maxSessions: 10_000, cpuMillis: 10_000_000, memoryMib: 10_000_000 }

describe('what a role may do', function () {
  this.timeout(120_000)
  const here = scene('suite')
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
    control = await server(here, await migratedDatabase(here))
    for (const id of ['acme', 'globex']) {
      made(await control.rest.post('/orgs', { id }))
      for (const role of ROLES) {
        const key = await keyFor(id, role, role)
        callers.set(`${id} ${role} ${role}`, rest(control.url, key))
        const other = await keyFor(id, role, 'somebody-else')
        callers.set(`${id} ${role} somebody-else`, rest(control.url, other))
      }
    }
    // There, and silent: what is sent to it stays as it is.
    for (const org of ['acme', 'globex']) {
      const id = `${org}-1`
      const { token } = made(await callerOf(org, 'admin').post('/agents', { id, platform: 'process' }))
      await (await connect(here, control.url, { id, token })).begin([], { capacity: PLENTY })
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
    const route: Route = routes[operationId]
    const row = matrix[operationId]
    const org = whose === 'elsewhere' ? 'globex' : 'acme'
    const thing = await things[row.on](org, whose === 'others' ? 'somebody-else' : role)
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
    return callerOf('acme', role).ask(route.method.toUpperCase(), path, body === undefined ? {} : { body })
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

  it('another org’s is as if it were not there, word for word', async () => {
    const theirs = await things.session('globex', 'operator')
    const none = randomUUID()
    const words = ({ status, body }: Answer, id: string) =>
      JSON.stringify({ status, body })
        .replaceAll(id, 'ID')
        .replace(/"requestId":"[^"]*"/, '')
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/events'],
      ['DELETE', ''],
      ['POST', '/stop'],
    ] as const) {
      const [there, missing] = [
        await callerOf('acme', 'admin').ask(method, `/sessions/${theirs}${path}`),
        await callerOf('acme', 'admin').ask(method, `/sessions/${none}${path}`),
      ]
      expect(words(there, theirs)).to.equal(words(missing, none))
    }
  })
})
