import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { NOBODYS_URL } from '../../support/ports.ts'
import { type Answers, anAgent, ID, KEY, OTHER_ID, ok, page, problem, startFakeApi } from './fake-api.ts'
import { inTemporaryDirectory, runCli } from './run-cli.ts'
import { withApi } from './with-api.ts'

const ready: Answers = {
  'GET /readyz': ok({ status: 'ready' }),
  'GET /api/v1/sessions/summary': ok({ total: 3, byStatus: { running: 2, failed: 1, stopped: 0 } }),
  'GET /api/v1/agents': page([anAgent()]),
}

describe('the command line', () => {
  it('tells that it was asked wrongly with status 2, on stderr alone', async () => {
    const wrong = [[], ['sesion'], ['session', 'stop'], ['session', 'list', '--bogus']]
    for (const args of wrong) {
      const { code, stdout, stderr } = await runCli(args, { env: { STREAMSPACE_URL: 'http://127.0.0.1:9' } })
      expect({ args, code, stdout }).to.deep.equal({ args, code: 2, stdout: '' })
      expect(stderr).not.to.equal('')
    }
    const { code, stderr } = await runCli(['status'], { env: { STREAMSPACE_URL: 'localhost:8080' } })
    expect(code).to.equal(2)
    expect(stderr).to.contain('STREAMSPACE_URL must be a URL')
  })

  it('prints help and version with status 0', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8'))
    expect(await runCli(['--version'], {})).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: '' })
    for (const args of [['--help'], ['session', 'create', '--help']]) {
      const { code, stdout, stderr } = await runCli(args, {})
      expect({ args, code, stderr }).to.deep.equal({ args, code: 0, stderr: '' })
      expect(stdout).to.contain('Usage: streamspace').and.to.contain('Examples:')
    }
  })

  it('says what to do when nothing answers', async () => {
    const url = NOBODYS_URL
    const { code, stdout, stderr } = await runCli(['session', 'list'], { env: { STREAMSPACE_URL: url } })
    expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' })
    expect(stderr).to.equal(
      `streamspace: no answer from ${url}: nothing listens there (ECONNREFUSED)
  is the server running? STREAMSPACE_URL is ${url}
`,
    )
  })

  it('takes the key that npm start keeps when the server is on this machine and none is set', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await mkdir(join(cwd, '.streamspace'))
      await writeFile(join(cwd, '.streamspace/admin-key'), 'ssk_kept\n')
      const api = await startFakeApi({ 'GET /api/v1/sessions': problem('unauthorized', 'this key is not known') })
      try {
        const { code, stderr } = await runCli(['session', 'list'], { cwd, env: { STREAMSPACE_URL: api.url } })
        expect(api.asked[0]?.headers.authorization).to.equal('Bearer ssk_kept')
        expect(code).to.equal(1)
        expect(stderr).to.contain(`the key is from ${join(cwd, '.streamspace/admin-key')}`)

        await runCli(['session', 'list'], { cwd, env: { STREAMSPACE_URL: api.url, STREAMSPACE_API_KEY: KEY } })
        expect(api.asked[1]?.headers.authorization).to.equal(`Bearer ${KEY}`)

        const elsewhere = { STREAMSPACE_URL: api.url, STREAMSPACE_DATA_DIR: join(cwd, 'elsewhere') }
        const without = await runCli(['session', 'list'], { cwd, env: elsewhere })
        expect(api.asked[2]?.headers.authorization).to.equal(undefined)
        expect(without.stderr).to.contain('set STREAMSPACE_API_KEY; npm start keeps it in .streamspace/admin-key')
      } finally {
        await api.close()
      }
    })
  })

  it('shows how the server is', async () => {
    await withApi(ready, async ({ api, run }) => {
      const { code, stdout } = await run(['status'])
      expect(code).to.equal(0)
      expect(stdout).to.match(/^ready +yes$/m)
      expect(stdout).to.match(/^ {2}running +2$/m)
      expect(stdout).to.match(/^edge-1 +online +process/m)
      expect(JSON.parse((await run(['status', '--json'])).stdout)).to.deep.equal({
        url: api.url,
        ready: true,
        reason: null,
        sessions: { total: 3, byStatus: { running: 2, failed: 1, stopped: 0 } },
        agents: [anAgent()],
      })
    })
  })

  it('fails when the server is not ready, and says why', async () => {
    const notReady = { 'GET /readyz': problem('not_ready', 'the schema is older', {}, { 'Retry-After': '2' }) }
    await withApi(notReady, async ({ api, run }) => {
      const { code, stdout, stderr } = await run(['status'])
      expect(code).to.equal(1)
      expect(stdout).to.match(/^ready +no: the schema is older$/m)
      expect(stderr).to.contain('is not ready: the schema is older')
      expect(api.asked.length).to.equal(1)
    })
    const { code, stdout } = await runCli(['status', '--json'], { env: { STREAMSPACE_URL: NOBODYS_URL } })
    expect(code).to.equal(1)
    expect(JSON.parse(stdout)).to.include({ ready: false, sessions: null })
  })

  it('does not take something else for the server', async () => {
    await withApi(
      {
        'GET /api/v1/sessions': [
          { status: 200, headers: { 'Content-Type': 'text/html' } },
          { status: 302, headers: { Location: 'https://login.example.org/' } },
        ],
      },
      async ({ run }) => {
        const html = await run(['session', 'list'])
        expect(html.code).to.equal(1)
        expect(html.stderr).to.contain('not what this version understands')
        const redirect = await run(['session', 'list'])
        expect(redirect.code).to.equal(1)
        expect(redirect.stderr).to.contain('it redirects to https://login.example.org/')
      },
    )
  })

  it('lists commands', async () => {
    await withApi({ 'GET /api/v1/commands': page([]) }, async ({ api, run }) => {
      const { code, stdout, stderr } = await run('command list --status dead --agent edge-1 --json'.split(' '))
      expect({ code, stdout, stderr }).to.deep.equal({ code: 0, stdout: '[]\n', stderr: '' })
      expect(api.asked[0]?.query).to.deep.equal({ status: 'dead', agent: 'edge-1', limit: '50' })
    })
  })

  it('redrives and cancels commands, and says what became of them', async () => {
    const command = {
      id: OTHER_ID,
      sessionId: ID,
      agentId: 'edge-1',
      type: 'start_session',
      generation: 1,
      status: 'pending',
      attempts: 20,
      nextAttemptAt: null,
      expiresAt: null,
      lastError: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      sentAt: null,
      ackedAt: null,
      finishedAt: null,
      revision: 1,
    }
    await withApi(
      {
        [`POST /api/v1/commands/${OTHER_ID}/redrive`]: [
          ok(command, 202),
          problem('command_outdated', 'its session has generation 3 by now', { generation: 1, sessionGeneration: 3 }),
        ],
        [`POST /api/v1/commands/${OTHER_ID}/cancel`]: ok({ ...command, status: 'cancelled' }, 202),
      },
      async ({ run }) => {
        expect(await run(['command', 'redrive', OTHER_ID])).to.deep.include({
          code: 0,
          stdout: `command ${OTHER_ID} (start_session of session ${ID}) is pending\n`,
        })
        const outdated = await run(['command', 'redrive', OTHER_ID])
        expect(outdated.code).to.equal(1)
        expect(outdated.stderr).to.contain('generation 3 by now').and.to.contain('command list --session')
        expect(JSON.parse((await run(['command', 'cancel', OTHER_ID, '--json'])).stdout).status).to.equal('cancelled')
        expect((await run(['command', 'cancel', 'mine'])).code).to.equal(2)
      },
    )
  })

  it('lists queues and jobs, and retries a job', async () => {
    const queue = {
      name: 'duty.sweep',
      policy: 'short',
      counts: { created: 1, retry: 1, active: 1, completed: 300, cancelled: 0, failed: 4 },
      oldestWaitingAt: null,
    }
    const job = {
      id: ID,
      queue: 'duty.sweep',
      state: 'failed',
      data: {},
      output: { message: 'no such table', stack: '…' },
      retryCount: 0,
      retryLimit: 0,
      createdAt: '2026-01-01T00:00:00.000Z',
      startAfter: '2026-01-01T00:00:00.000Z',
      startedAt: null,
      completedAt: null,
    }
    await withApi(
      {
        'GET /api/v1/jobs': page([queue]),
        'GET /api/v1/jobs/duty.sweep': page([job]),
        [`POST /api/v1/jobs/duty.sweep/${ID}/retry`]: ok({ ...job, state: 'retry' }, 202),
      },
      async ({ api, run }) => {
        expect((await run(['job', 'list'])).stdout).to.match(/duty\.sweep +2 +1 +300 +4/)
        expect((await run(['job', 'list', 'duty.sweep', '--state', 'failed'])).stdout).to.match(
          /failed .* no such table/,
        )
        expect(api.asked.at(-1)?.query).to.deep.equal({ state: 'failed', limit: '50' })
        expect((await run(['job', 'retry', 'duty.sweep', ID])).stdout).to.equal(`job ${ID} of duty.sweep is retry\n`)
        expect(JSON.parse((await run(['job', 'list', '--json'])).stdout)).to.deep.equal([queue])
        const wrong = await run(['job', 'list', '--state', 'failed'])
        expect([wrong.code, wrong.stdout]).to.deep.equal([2, ''])
        expect(wrong.stderr).to.contain('--state needs the name of a queue')
      },
    )
  })
})
