import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { ID, OTHER_ID, ok, page, problem } from './fake-api.ts'
import { inTemporaryDirectory } from './run-cli.ts'
import { withApi } from './with-api.ts'

const SECRET = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='
const AT = '2026-01-31T12:00:00.000Z'
const webhook = {
  id: ID,
  orgId: 'default',
  url: 'https://example.com/hook',
  events: ['*'],
  labels: {},
  status: 'active',
  statusReason: null,
  previousSecretUntil: null,
  createdAt: AT,
  updatedAt: AT,
  version: 1,
}
const delivery = {
  id: OTHER_ID,
  webhookId: ID,
  eventId: 7,
  sessionId: ID,
  type: 'running',
  status: 'dead',
  attempts: 15,
  lastAttemptAt: AT,
  responseStatus: 500,
  lastError: 'answered 500',
  createdAt: AT,
  finishedAt: AT,
}
const made = { 'POST /api/v1/webhooks': ok({ ...webhook, secret: SECRET }, 201) }

describe('streamspace webhook', () => {
  it('makes one of all events, or of those that are said, and shows its secret once', async () => {
    await withApi(made, async ({ api, run }) => {
      const { code, stdout } = await run(['webhook', 'create', webhook.url])
      expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${ID}\n${SECRET}\n` })
      await run(['webhook', 'create', webhook.url, '--event', 'running,failed', '--label', 'team=web', '--json'])
      expect(api.asked.map(({ body }) => body)).to.deep.equal([
        { url: webhook.url, events: ['*'] },
        { url: webhook.url, events: ['running', 'failed'], labels: { team: 'web' } },
      ])
      expect((await run(['webhook', 'create', webhook.url, '--event', 'nothing'])).code).to.equal(2)
    })
  })

  it('writes the secret to a file that only its owner reads, and prints nothing secret', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await withApi(made, async ({ run }) => {
        const created = (file: string, ...more: readonly string[]) =>
          run(['webhook', 'create', webhook.url, '--secret-file', file, ...more], { cwd })
        for (const [file, ...json] of [['hook.secret'], ['other.secret', '--json']] as const) {
          const { code, stdout, stderr } = await created(file, ...json)
          expect(code).to.equal(0)
          expect(stdout + stderr).not.to.contain(SECRET)
          expect((await readFile(join(cwd, file), 'utf8')).trim()).to.equal(SECRET)
          expect((await stat(join(cwd, file))).mode & 0o777).to.equal(0o600)
        }
        // It may be the only place where another secret is.
        await writeFile(join(cwd, 'hook.secret'), 'another one')
        expect((await created('hook.secret')).code).to.equal(2)
        expect(await readFile(join(cwd, 'hook.secret'), 'utf8')).to.equal('another one')
      })
    })
  })

  it('lists dead deliveries and sends one again', async () => {
    const path = `/api/v1/webhooks/${ID}/deliveries`
    const answers = {
      [`GET ${path}`]: page([delivery]),
      [`POST ${path}/${OTHER_ID}/redrive`]: ok({ ...delivery, status: 'pending' }, 202),
    }
    await withApi(answers, async ({ api, run }) => {
      const { code, stdout } = await run(['webhook', 'deliveries', ID, '--status', 'dead'])
      expect(code).to.equal(0)
      expect(stdout).to.contain(OTHER_ID).and.to.contain('answered 500')
      expect(api.asked[0]?.query.status).to.equal('dead')
      expect((await run(['webhook', 'redrive', ID, OTHER_ID])).code).to.equal(0)
    })
  })

  it('says why an address is refused', async () => {
    await withApi(
      { 'POST /api/v1/webhooks': problem('target_refused', 'url: the address is private') },
      async ({ run }) => {
        const { code, stderr } = await run(['webhook', 'create', 'http://10.0.0.1/'])
        expect(code).to.equal(1)
        expect(stderr).to.contain('the address is private')
      },
    )
  })

  it('enables, disables, rotates and deletes', async () => {
    const path = `/api/v1/webhooks/${ID}`
    const answers = {
      [`PATCH ${path}`]: ok({ ...webhook, status: 'disabled', statusReason: 'by_request' }),
      [`POST ${path}/rotate`]: ok({ ...webhook, secret: SECRET }),
      [`DELETE ${path}`]: { status: 204 },
    }
    await withApi(answers, async ({ api, run }) => {
      expect((await run(['webhook', 'disable', ID])).stdout).to.contain('disabled: by_request')
      await run(['webhook', 'enable', ID])
      expect((await run(['webhook', 'rotate', ID, '--overlap', '60'])).stdout).to.contain(SECRET)
      expect((await run(['webhook', 'delete', ID])).code).to.equal(0)
      expect(api.asked.map(({ method, body }) => [method, body])).to.deep.equal([
        ['PATCH', { status: 'disabled' }],
        ['PATCH', { status: 'active' }],
        ['POST', { overlapSeconds: 60 }],
        ['DELETE', undefined],
      ])
    })
  })
})
