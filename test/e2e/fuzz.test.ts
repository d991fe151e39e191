/**
 * More than twenty thousand requests, right ones and spoilt ones, against a real server: no fault, no hang, and what is refused
 * has changed no row. FUZZ_SEED repeats a run; FUZZ_REQUESTS makes one longer.
 */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { type OperationId, type Route, routes } from '../../src/api/routes.ts'
import { type Changes, watchChanges } from '../support/fuzz/changes.ts'
import { type Sent, spoil } from '../support/fuzz/hostile.ts'
import { operations, type Right, type World } from '../support/fuzz/operations.ts'
import { anyOfSchema, queryOf } from '../support/fuzz/schema-values.ts'
import { createTally, reached } from '../support/fuzz/tally.ts'
import { createWorld } from '../support/fuzz/world.ts'
import { ledgerAgent } from './support/ledger-agent.ts'
import { connect } from './support/raw-agent.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000)
/** Of every operation, at least so many are answered with 2xx. */
const SUCCESSES = 100
const AT_ONCE = 8
const ROUND = 400
const PLENTY = { maxSessions: 100_000, cpuMillis: 100_000_000, memoryMib: 100_000_000 }

const operationIds = Object.keys(routes) as OperationId[]
const routeOf = (operationId: OperationId): Route => routes[operationId]

/** What is sent, and what it was made of. */
type Request = { readonly operationId: OperationId; readonly right: Right; readonly sent: Sent }
type Answer = {
  readonly request: Request
  readonly status: number
  readonly code: string | undefined
  readonly text: string
}

describe('a fuzz run', function () {
  this.timeout(900_000)
  const here = scene('suite')
  const tally = createTally(operationIds)
  const complaints: string[] = []
  let control: Server
  let changes: Changes
  let world: World
  /** One of each role in org `default`, and an admin of another org. */
  let keys: readonly string[]
  /** How each operation was asked rightly before: what those that are spoilt begin with. */
  const asked = new Map<OperationId, Right[]>(operationIds.map((id) => [id, []]))

  const sentFor = (operationId: OperationId, { params = {}, query = '', body }: Right, key: string): Sent => {
    const route = routeOf(operationId)
    const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
    return {
      method: route.method.toUpperCase(),
      path: `${path}${query}`,
      headers: {
        ...(route.access === 'anyone' ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    }
  }

  const send = async (request: Request): Promise<Answer> => {
    const { method, path, headers, body } = request.sent
    const takesNoBody = method === 'GET' || method === 'HEAD'
    try {
      const response = await fetch(`${control.url}${path}`, {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(20_000),
        ...(body === undefined || takesNoBody ? {} : { body }),
      })
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
      const text = isStream ? ((await response.body?.cancel()) ?? '') : await response.text()
      const code = response.ok ? undefined : codeIn(text)
      const answer = { request, status: response.status, code, text: text.slice(0, 500) }
      note(answer)
      return answer
    } catch (error) {
      complaints.push(`no answer to ${shown(request)}: ${String(error)}`)
      return { request, status: 0, code: undefined, text: '' }
    }
  }
  const codeIn = (text: string): string | undefined => {
    try {
      return JSON.parse(text).code
    } catch {
      return undefined
    }
  }
  const shown = ({ operationId, sent: { method, path, headers, body } }: Request): string =>
    `${operationId}: ${method} ${path.slice(0, 300)} ${JSON.stringify({ ...headers, authorization: undefined }).slice(0, 300)} ${body?.slice(0, 300) ?? ''}`

  const note = ({ request, status, code, text }: Answer): void => {
    const { operationId, right, sent } = request
    const route = routeOf(operationId)
    const isSame = sent.method === route.method.toUpperCase()
    // In an org that there is not, and elsewhere than at the operation, no use case is asked.
    const elsewhere =
      status === 404 &&
      (sent.headers['streamspace-org'] !== undefined ||
        sent.path.split('?')[0] !== sentFor(operationId, right, '').path.split('?')[0])
    tally.add(
      isSame ? operationId : null,
      { status, code },
      isSame && !elsewhere && reached(route, right, { status, code }),
    )
    if (status >= 500) complaints.push(`${status} to ${shown(request)}: ${text}`)
  }

  /** What the server's log has of faults: an answer says nothing of them. */
  const faults = (): string =>
    control.program
      .stdout()
      .split('\n')
      .filter((line) => line.includes('"level":50'))
      .slice(0, 3)
      .join('\n')

  const together = async <A, B>(all: readonly A[], act: (one: A) => Promise<B>): Promise<readonly B[]> => {
    const results: B[] = []
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < all.length) {
        const index = next
        next += 1
        results[index] = await act(all[index] as A)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    return results
  }

  before(async () => {
    console.log(`        seed ${seed}: FUZZ_SEED=${seed} repeats it`)
    const database = await migratedDatabase(here)
    control = await server(here, database, {
      STREAMSPACE_ORPHAN_GRACE_MS: '3600000',
      // Two of the agents never beat.
      STREAMSPACE_HEARTBEAT_INTERVAL_MS: '600000',
      STREAMSPACE_WEBHOOK_ALLOW_PRIVATE: '127.0.0.1/32',
      STREAMSPACE_WEBHOOK_ATTEMPTS: '1',
      // Hundreds are made in one org.
      STREAMSPACE_WEBHOOK_LIMIT_PER_ORG: '10000',
    })
    changes = await watchChanges(database)
    here.finally(changes.close)
    const made = async (method: string, path: string, body?: unknown) => {
      const { status, body: answer } = await control.rest.ask(method, path, body === undefined ? {} : { body })
      if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`)
      return answer
    }
    await ledgerAgent(here, {
      id: 'works',
      token: await enrol(control.rest, 'works'),
      url: control.url,
      capacity: PLENTY,
    })
    // Only what names this template goes to a quiet one.
    await made('POST', '/templates', { name: 'quiet-app', displayName: 'Quiet', spec: { quiet: {} } })
    const silent = { id: 'silent', token: await enrol(control.rest, 'silent', 'quiet'), platform: 'quiet' }
    await (await connect(here, control.url, silent)).begin([], { capacity: PLENTY })
    const orphans = Array.from({ length: 4 * SUCCESSES }, () => ({
      sessionId: randomUUID(),
      generation: 1,
      status: 'running',
    }))
    const holder = { id: 'holder', token: await enrol(control.rest, 'holder', 'quiet'), platform: 'quiet' }
    await (await connect(here, control.url, holder)).begin(orphans, { capacity: PLENTY })
    const jobs = await changes.query(`SELECT pgboss.create_queue('fuzz', '{"policy":"standard"}'::jsonb)`).then(() =>
      changes.query(
        `INSERT INTO pgboss.job (id, name, data, state, started_on, completed_on, retry_limit)
         SELECT gen_random_uuid(), 'fuzz', '{}', 'failed', now(), now(), 0 FROM generate_series(1, $1) RETURNING id`,
        [4 * SUCCESSES],
      ),
    )
    world = createWorld({
      made,
      changes,
      silentAgent: 'silent',
      orphans: { agentId: 'holder', sessionIds: orphans.map(({ sessionId }) => sessionId) },
      failedJobs: { queue: 'fuzz', ids: jobs.map(({ id }) => String(id)) },
    })
    const keyOf = async (role: string, org?: string): Promise<string> => {
      const headers = org === undefined ? {} : { 'streamspace-org': org }
      return (await control.rest.post('/api-keys', { role, userId: role }, headers)).body.key
    }
    await made('POST', '/orgs', { id: 'elsewhere' })
    keys = [
      ADMIN_KEY,
      ADMIN_KEY,
      ...(await Promise.all(['viewer', 'user', 'operator', 'admin'].map((role) => keyOf(role)))),
    ]
    keys = [...keys, await keyOf('admin', 'elsewhere')]
  })

  it('what is right is answered with 2xx, every operation at least a hundred times', async () => {
    const wanted = operationIds.flatMap((operationId) => Array.from({ length: SUCCESSES }, () => operationId))
    const wrong: string[] = []
    await together(wanted, async (operationId) => {
      const right = await operations[operationId](world)
      asked.get(operationId)?.push(right)
      const { status, text } = await send({ operationId, right, sent: sentFor(operationId, right, ADMIN_KEY) })
      if (status >= 300) wrong.push(`${operationId}: ${status} ${text}`)
    })
    expect(wrong.slice(0, 10), faults()).to.deep.equal([])
    const tooFew = tally.least().filter(([, count]) => count < SUCCESSES)
    expect(tooFew).to.deep.equal([])
    // Or else it would be no wonder that refusals change nothing.
    expect(await changes.count()).to.be.above(10 * SUCCESSES)
  })

  it('what is made up or spoilt ends in no fault, no hang, and changes nothing where it is refused', async () => {
    const bodies = new Map(
      operationIds.map((operationId, index) => {
        const { body } = routeOf(operationId)
        const made =
          body === null ? [undefined] : fc.sample(anyOfSchema(body.schema), { seed: seed + index, numRuns: 100 })
        return [operationId, made]
      }),
    )
    const queries = new Map(
      operationIds.map((operationId, index) => [
        operationId,
        fc.sample(queryOf(routeOf(operationId).query.schema), { seed: seed - index, numRuns: 100 }),
      ]),
    )
    const plan = fc.record({
      operationId: fc.constantFrom(...operationIds),
      spoilt: fc.boolean(),
      change: spoil,
      at: fc.nat(),
      key: fc.constantFrom(...keys),
      keep: fc.nat(),
    })
    const pick = <A>(all: readonly A[] | undefined, at: number): A | undefined => all?.[at % Math.max(1, all.length)]

    const requestFor = ({
      operationId,
      spoilt,
      change,
      at,
      key,
      keep,
    }: typeof plan extends fc.Arbitrary<infer P> ? P : never): Request => {
      const before = pick(asked.get(operationId), at) ?? {}
      const madeUp = pick(bodies.get(operationId), at)
      // Half of what was right before stays, so that not every made-up request names what there is not.
      const kept = Object.fromEntries(Object.entries(before.body ?? {}).filter((_, index) => (keep >> index) % 2 === 0))
      const isObject = typeof madeUp === 'object' && madeUp !== null && !Array.isArray(madeUp)
      const right: Right = spoilt
        ? before
        : {
            ...before,
            ...(isObject ? { body: { ...madeUp, ...kept } } : {}),
            query: pick(queries.get(operationId), at) ?? '',
          }
      const sent = sentFor(operationId, right, key)
      return { operationId, right, sent: spoilt ? change(sent) : sent }
    }

    let unverified = 0
    let refusedInAll = 0
    /** The same again, alone: as long as all of it is refused, no row may change. */
    const verify = async (refused: readonly Request[]): Promise<void> => {
      let left = refused
      for (let attempt = 0; attempt < 4 && left.length > 0; attempt += 1) {
        const before = await changes.count()
        const answers = await together(left, send)
        const accepted = answers.filter(({ status }) => status < 400)
        if (accepted.length === 0) {
          const after = await changes.since(before)
          if (after.length > 0)
            complaints.push(
              `of ${left.length} refused requests one changed ${after.join('\n')}\n${left.slice(0, 20).map(shown).join('\n')}`,
            )
          return
        }
        // What is possible by now is no refusal any more.
        left = answers.filter(({ status }) => status >= 400).map(({ request }) => request)
      }
      unverified += left.length
    }

    for (let round = 0; tally.requests() < REQUESTS && complaints.length < 5; round += 1) {
      const plans = fc.sample(plan, { seed: seed + 1_000 + round, numRuns: ROUND })
      const answers = await together(plans.map(requestFor), send)
      const refused = answers.filter(({ status }) => status >= 400).map(({ request }) => request)
      refusedInAll += refused.length
      await verify(refused)
    }

    const [least] = tally.least()
    console.log(
      `        fuzz: ${tally.requests()} requests, ${(tally.share() * 100).toFixed(1)} % reached a use case, ` +
        `${least?.[0]} was answered with 2xx least often: ${least?.[1]}; ${refusedInAll} refusals asked again alone, ` +
        `${refusedInAll - unverified} of them changed no row; ${tally.statuses().join(', ')}; seed ${seed}`,
    )
    expect(complaints.slice(0, 5).join('\n\n'), faults()).to.equal('')
    expect(tally.requests()).to.be.at.least(REQUESTS)
    expect(tally.share()).to.be.at.least(0.3)
    expect(unverified).to.be.at.most(refusedInAll / 20)
  })
})
