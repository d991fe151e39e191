/**
 * Secrets, each with a mark, go in wherever something secret goes in; then everything is done, and the marks are looked for in all
 * that is written: the whole database, the log at its most talkative, and every answer but the one that shows a secret once.
 */
import { expect } from 'chai'
import pg from 'pg'
import { type Receiver, receiver } from '../support/webhook-receiver.ts'
import { eventually } from './support/eventually.ts'
import { type Answer, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { agent, migratedDatabase, server, streamspace } from './support/streamspace.ts'

const OLD_KEY = 'mark-secret-key-before-5d1f'
const NEW_KEY = 'mark-secret-key-after-77aa'
const JWT_SECRET = 'mark-jwt-secret-0123456789abcdef0123'
const PARAMETER = 'mark-parameter-9c2e'
const WRONG_PARAMETER = 'mark-refused-parameter-9c2e'

/** Where bytes are, as they are and as they may be written. */
const spellings = (mark: string): readonly string[] => [
  mark,
  Buffer.from(mark).toString('hex'),
  Buffer.from(mark).toString('base64').replace(/=+$/, '').slice(0, -2),
]

describe('secrets', function () {
  this.timeout(180_000)
  const here = scene('suite')
  let databaseUrl: string

  before(async () => {
    databaseUrl = await migratedDatabase(here)
  })

  /** Every row of every table, with bytes in hexadecimal as PostgreSQL writes them. */
  const dump = async (): Promise<string> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    try {
      const { rows: tables } = await client.query(`
        SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'pgboss')`)
      const parts: string[] = []
      for (const { name } of tables) {
        const { rows } = await client.query(`SELECT t::text AS row, to_jsonb(t)::text AS json FROM ${name} t`)
        for (const { row, json } of rows) parts.push(`${name} ${row} ${json}`)
      }
      return parts.join('\n')
    } finally {
      await client.end()
    }
  }

  it('are nowhere but where they are shown once, through a whole life; and are sealed anew while the server serves', async () => {
    const settings = {
      STREAMSPACE_SECRET_KEY: OLD_KEY,
      STREAMSPACE_JWT_SECRET: JWT_SECRET,
      STREAMSPACE_WEBHOOK_ALLOW_PRIVATE: 'true',
      STREAMSPACE_WEBHOOK_RETRY_SECONDS: '1',
      STREAMSPACE_WEBHOOK_ATTEMPTS: '2',
      LOG_LEVEL: 'trace',
    }
    const first = await server(here, databaseUrl, settings)
    const answers: string[] = []
    const secrets: string[] = [PARAMETER, WRONG_PARAMETER, OLD_KEY, NEW_KEY, JWT_SECRET, first.rest.key]
    const heard =
      (api: Rest): Rest['ask'] =>
      async (method, path, what) => {
        const answer = await api.ask(method, path, what)
        answers.push(JSON.stringify([answer.body, [...answer.headers]]))
        return answer
      }
    /** The one answer that shows it: kept out of what is looked through, and what it shows is looked for. */
    const shown = (answer: Answer, field: string): string => {
      expect(answer.status, JSON.stringify(answer.body)).to.be.lessThan(300)
      answers.pop()
      const secret: string = answer.body[field]
      secrets.push(secret)
      answers.push(JSON.stringify({ ...answer.body, [field]: null }))
      return secret
    }
    const ask = heard(first.rest)

    const there: Receiver = await receiver((_, count) => (count % 2 === 0 ? 204 : 500))
    here.finally(there.close)
    const hook = await ask('POST', '/webhooks', {
      body: { url: there.url, events: ['*'] },
      headers: { 'idempotency-key': 'a-webhook-once' },
    })
    const { id: hookId } = hook.body
    shown(hook, 'secret')
    shown(
      await ask('POST', '/webhooks', {
        body: { url: there.url, events: ['*'] },
        headers: { 'idempotency-key': 'a-webhook-once' },
      }),
      'secret',
    )
    shown(await ask('POST', `/webhooks/${hookId}/rotate`), 'secret')
    shown(
      await ask('POST', '/api-keys', { body: { role: 'user' }, headers: { 'idempotency-key': 'a-key-once' } }),
      'key',
    )
    const token = shown(await ask('POST', '/agents', { body: { id: 'edge-1', platform: 'process' } }), 'token')

    await ask('POST', '/templates', {
      body: {
        name: 'with-secret',
        displayName: 'With a secret',
        parameters: [
          { name: 'password', type: 'secret', env: 'PASSWORD', required: true },
          { name: 'size', type: 'integer', env: 'SIZE', minimum: 1 },
        ],
        spec: { process: { command: ['node', '-e', 'setInterval(() => {}, 1000)'] } },
      },
    })
    agent(here, { id: 'edge-1', token, url: first.url, dataDir: `${await here.folder()}/agent` })
    const create = (parameters: object, headers = {}) =>
      ask('POST', '/sessions', { body: { template: 'with-secret', parameters }, headers })
    const made = await create({ password: PARAMETER }, { 'idempotency-key': 'a-session-once' })
    expect(made.status, JSON.stringify(made.body)).to.equal(201)
    expect(made.body.parameters.password).to.equal(null)
    await create({ password: PARAMETER }, { 'idempotency-key': 'a-session-once' })
    // Refused, and what was asked is not said again.
    expect((await create({ password: WRONG_PARAMETER, size: 0 })).status).to.be.oneOf([400, 422])
    expect((await create({ password: { nested: WRONG_PARAMETER } })).status).to.be.oneOf([400, 422])
    expect((await create({ [WRONG_PARAMETER]: 1 })).status).to.be.oneOf([400, 422])
    answers.pop() // A name that is not known is said, as it is a name.
    const path = `/sessions/${made.body.id}`
    await first.rest.until(made.body.id, 'running')
    for (const act of ['stop', 'start']) {
      await ask('POST', `${path}/${act}`)
      await first.rest.until(made.body.id, act === 'stop' ? 'stopped' : 'running')
    }
    for (const bad of [`ssk_${'x'.repeat(43)}`, 'a.b.c'])
      await ask('GET', '/sessions', { headers: { authorization: `Bearer ${bad}` } })
    const looked = async (asking: Rest['ask']) => {
      for (const each of [
        path,
        `${path}/events`,
        `${path}/commands`,
        '/sessions',
        '/commands',
        '/jobs',
        '/jobs/webhook.deliver',
        '/webhooks',
        `/webhooks/${hookId}`,
        `/webhooks/${hookId}/deliveries`,
        '/api-keys',
        '/agents',
        '/templates/with-secret',
      ])
        expect((await asking('GET', each)).status, each).to.equal(200)
    }
    await looked(ask)

    // The secret is replaced: a second server knows both, and seals anew while the first one still serves.
    const second = await server(here, databaseUrl, {
      ...settings,
      STREAMSPACE_SECRET_KEY: NEW_KEY,
      STREAMSPACE_SECRET_KEY_PREVIOUS: OLD_KEY,
    })
    const reseal = streamspace(here, ['secret-key', 'reseal'], {
      DATABASE_URL: databaseUrl,
      STREAMSPACE_SECRET_KEY: NEW_KEY,
      STREAMSPACE_SECRET_KEY_PREVIOUS: OLD_KEY,
    })
    expect((await reseal.end()).code, reseal.stderr()).to.equal(0)
    expect(reseal.stdout()).to.contain('all secrets are sealed under STREAMSPACE_SECRET_KEY')
    first.program.signal('SIGTERM')
    await first.program.end()

    // With the new one alone: what was sealed under the old one opens.
    const last = await server(here, databaseUrl, { ...settings, STREAMSPACE_SECRET_KEY: NEW_KEY })
    const refused = streamspace(here, ['server'], {
      DATABASE_URL: databaseUrl,
      STREAMSPACE_SECRET_KEY: OLD_KEY,
      PORT: '0',
    })
    expect((await refused.end(20_000)).code).to.equal(1)
    expect(refused.stderr()).to.contain('STREAMSPACE_SECRET_KEY is not the key')
    // A request from before the change is known by the server that knows both keys.
    const again = await rest(second.url, first.rest.key).post(
      '/webhooks',
      { url: there.url, events: ['*'] },
      { 'idempotency-key': 'a-webhook-once' },
    )
    expect([again.status, again.body.id, again.headers.get('idempotency-replayed')]).to.deep.equal([
      201,
      hookId,
      'true',
    ])

    const lastRest = rest(last.url, first.rest.key)
    const token2 = shown(await heard(lastRest)('POST', '/agents/edge-1/token'), 'token')
    agent(here, { id: 'edge-1', token: token2, url: last.url, dataDir: `${await here.folder()}/agent` })
    const before = there.messages.length
    const { body: more } = await heard(lastRest)('POST', '/sessions', {
      body: { template: 'with-secret', parameters: { password: PARAMETER } },
    })
    await eventually(() => expect(there.messages.length).to.be.greaterThan(before))
    await lastRest.until(more.id, 'running')
    await looked(heard(lastRest))
    await heard(lastRest)('DELETE', path)
    await lastRest.gone(made.body.id)

    const database = await dump()
    expect(database).to.contain(made.body.id)
    const written = {
      'the database': database,
      'the logs': [first, second, last].map(({ program }) => program.stdout() + program.stderr()).join('\n'),
      answers: answers.join('\n'),
      webhooks: there.messages.map(({ text, headers }) => text + JSON.stringify(headers)).join('\n'),
    }
    for (const [where, text] of Object.entries(written))
      for (const secret of new Set(secrets))
        for (const spelling of spellings(secret))
          expect(text.includes(spelling), `${secret} is in ${where}, as ${spelling}`).to.equal(false)
    // That what is looked through would show it, if it were there.
    expect(written['the logs']).to.contain('"level":20')
    expect(database).to.contain(Buffer.from([1]).toString('hex'))
  })
})
