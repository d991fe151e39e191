import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { aSession, aTemplate, ID, OTHER_ID, ok, onItsWay, page, problem } from './fake-api.ts'
import { CLI, inTemporaryDirectory, runProgram } from './run-cli.ts'
import { withApi } from './with-api.ts'

const SESSION = `/api/v1/sessions/${ID}`

describe('streamspace session', () => {
  it('creates a session with everything that was said of it, parameters as the template wants them', async () => {
    const parameters = [
      { name: 'title', type: 'string' },
      { name: 'width', type: 'integer' },
      { name: 'dark', type: 'boolean' },
      { name: 'password', type: 'secret' },
    ]
    await inTemporaryDirectory(async (cwd) => {
      await writeFile(join(cwd, 'password'), 'hunter2\n')
      await withApi(
        {
          'GET /api/v1/templates/hello-web': ok(aTemplate({ parameters })),
          'POST /api/v1/sessions': ok(onItsWay(), 201),
        },
        async ({ api, run }) => {
          const args =
            'session create hello-web --name mine --param width=12 --param dark=true --param title=12 --param-file password=password --env A=b=c --label team=web --cpu-millis 500 --no-persistent-home --idle-timeout 60 --agent edge-1'
          const { code, stdout } = await run(args.split(' '), { cwd })
          expect(code).to.equal(0)
          expect(api.asked.at(-1)?.body).to.deep.equal({
            template: 'hello-web',
            name: 'mine',
            parameters: { width: 12, dark: true, title: '12', password: 'hunter2' },
            env: { A: 'b=c' },
            labels: { team: 'web' },
            agentId: 'edge-1',
            resources: { cpuMillis: 500 },
            persistentHome: false,
            idleTimeoutSeconds: 60,
          })
          expect(api.asked.at(-1)?.headers.authorization).to.match(/^Bearer ssk_/)
          expect(stdout).to.match(new RegExp(`^id +${ID}$`, 'm'))
          expect(stdout).to.match(/^status +scheduling$/m)
        },
      )
    })
  })

  it('waits until it runs, quietly in a pipe, asking only for what has changed', async () => {
    const etag = { ETag: '"1-00000000"' }
    await withApi(
      {
        'POST /api/v1/sessions': ok(onItsWay({ status: 'pending' }), 201),
        [`GET ${SESSION}`]: [ok(onItsWay(), 200, etag), { status: 304, headers: etag }, ok(aSession(), 200)],
      },
      async ({ api, run }) => {
        const { code, stdout, stderr } = await run(['session', 'create', 'hello-web', '--wait', '--json'])
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
        expect(JSON.parse(stdout)).to.include({ id: ID, status: 'running' })
        expect(api.asked.slice(1).map(({ headers }) => headers['if-none-match'])).to.deep.equal([
          undefined,
          '"1-00000000"',
          '"1-00000000"',
        ])
      },
    )
  })

  it('says why a session failed while it was waited for, with its last output', async () => {
    const failed = onItsWay({
      status: 'failed',
      statusReason: 'exited_early',
      exitCode: 3,
      lastOutput: 'first\u001b[31m line\nno such file\n',
    })
    await withApi({ 'POST /api/v1/sessions': ok(onItsWay(), 201), [`GET ${SESSION}`]: ok(failed) }, async ({ run }) => {
      const { code, stdout, stderr } = await run(['session', 'create', 'hello-web', '--wait'])
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' })
      expect(stderr).to.equal(
        `streamspace: session ${ID} (mine) is failed, exited_early
  exit: exit code 3
  last output
    | first line
    | no such file
`,
      )
    })
  })

  it('gives up waiting after --timeout, and says that the session goes on', async () => {
    await withApi(
      { [`POST ${SESSION}/stop`]: ok(onItsWay({ desiredState: 'stopped', status: 'stopping' }), 202) },
      async ({ api, run }) => {
        const { code, stderr } = await run(['session', 'stop', ID, '--wait', '--timeout', '0.3'])
        expect(api.asked.length).to.be.greaterThan(1)
        expect(code).to.equal(1)
        expect(stderr).to.contain('was deleted while it was waited for')
      },
    )
    await withApi(
      {
        [`POST ${SESSION}/stop`]: ok(onItsWay({ desiredState: 'stopped', status: 'stopping' }), 202),
        [`GET ${SESSION}`]: ok(aSession({ desiredState: 'stopped', status: 'stopping', statusReason: 'stop_overdue' })),
      },
      async ({ run }) => {
        const { code, stderr } = await run(['session', 'stop', ID, '--wait', '--timeout', '0.3'])
        expect(code).to.equal(1)
        expect(stderr).to.match(/after 0\.3 s not stopped yet: .* is stopping, stop_overdue/)
      },
    )
  })

  it('takes a 404 for the end of what was deleted', async () => {
    const deleting = aSession({ desiredState: 'deleted', status: 'deleting' })
    await withApi(
      {
        [`DELETE ${SESSION}`]: ok(deleting, 202),
        [`GET ${SESSION}`]: [ok(deleting), problem('not_found', 'gone')],
      },
      async ({ run }) => {
        const { code, stdout } = await run(['session', 'delete', ID, '--wait'])
        expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `session ${ID} (mine) is deleted\n` })
      },
    )
  })

  it('goes on waiting while the server is away', async () => {
    let looks = 0
    await withApi(
      {
        [`POST ${SESSION}/start`]: ok(onItsWay(), 202),
        [`GET ${SESSION}`]: () => {
          looks += 1
          return looks === 1 ? problem('unavailable', 'no database') : ok(aSession())
        },
      },
      async ({ run }) => {
        const { code, stdout } = await run(['session', 'start', ID, '--wait'])
        expect(code).to.equal(0)
        expect(stdout).to.equal(`session ${ID} (mine) is running, at http://127.0.0.1:4000/?token=x\n`)
      },
    )
  })

  it('finds a session by its whole name, and names the ids when several have it', async () => {
    const list = { 'GET /api/v1/sessions': page([aSession({ name: 'mine too', id: OTHER_ID }), aSession()]) }
    await withApi({ ...list, [`POST ${SESSION}/stop`]: ok(aSession(), 202) }, async ({ api, run }) => {
      const { code } = await run(['session', 'stop', 'mine'])
      expect(code).to.equal(0)
      expect(api.asked[0]?.query).to.include({ q: 'mine' })
      expect(api.asked[1]?.path).to.equal(`${SESSION}/stop`)
    })
    await withApi({ 'GET /api/v1/sessions': page([aSession(), aSession({ id: OTHER_ID })]) }, async ({ run }) => {
      const { code, stderr } = await run(['session', 'get', 'mine'])
      expect(code).to.equal(1)
      expect(stderr).to.contain('2 sessions have the name "mine"').and.to.contain(ID).and.to.contain(OTHER_ID)
    })
    await withApi({ 'GET /api/v1/sessions': page([]) }, async ({ run }) => {
      const { code, stderr } = await run(['session', 'get', 'mine'])
      expect(code).to.equal(1)
      expect(stderr).to.contain('there is no session with the id or name "mine"')
    })
  })

  it('lists page after page up to the limit, and says when there are more', async () => {
    const answers = {
      'GET /api/v1/sessions': [page([aSession()], 'next'), page([aSession({ id: OTHER_ID, name: 'other' })], 'more')],
    }
    await withApi(answers, async ({ api, run }) => {
      const { code, stdout, stderr } = await run(
        'session list --status running,failed --status pending --label a=b --label c=d --limit 2'.split(' '),
      )
      expect(code).to.equal(0)
      expect(api.asked.map(({ query }) => query)).to.deep.equal([
        { status: 'running,failed,pending', label: 'c=d', limit: '2' },
        { status: 'running,failed,pending', label: 'c=d', limit: '1', cursor: 'next' },
      ])
      expect(stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3))).to.deep.equal([
        ['ID', 'NAME', 'STATUS'],
        [ID, 'mine', 'running'],
        [OTHER_ID, 'other', 'running'],
        [''],
      ])
      expect(stderr).to.contain('only the first 2 sessions: there are more')
    })
    await withApi({ 'GET /api/v1/sessions': page([aSession()]) }, async ({ run }) => {
      const { stdout, stderr } = await run(['session', 'list', '--json'])
      expect({ items: JSON.parse(stdout), stderr }).to.deep.equal({ items: [aSession()], stderr: '' })
    })
  })

  it('shows events and commands', async () => {
    const event = {
      id: 1,
      sessionId: ID,
      type: 'created',
      generation: 1,
      at: '2026-01-01T00:00:00.000Z',
      actor: 'user:ada',
      data: { template: 'hello-web' },
    }
    const command = {
      id: OTHER_ID,
      sessionId: ID,
      agentId: 'edge-1',
      type: 'start_session',
      generation: 1,
      status: 'dead',
      attempts: 10,
      nextAttemptAt: null,
      expiresAt: null,
      lastError: 'no such image',
      createdAt: '2026-01-01T00:00:00.000Z',
      sentAt: null,
      ackedAt: null,
      finishedAt: null,
      revision: 1,
    }
    await withApi(
      { [`GET ${SESSION}/events`]: page([event]), [`GET ${SESSION}/commands`]: page([command]) },
      async ({ run }) => {
        expect((await run(['session', 'events', ID])).stdout).to.match(/created +1 +user:ada +template=hello-web/)
        expect(JSON.parse((await run(['session', 'events', ID, '--json'])).stdout)).to.deep.equal([event])
        expect((await run(['session', 'commands', ID])).stdout).to.match(/start_session +1 +dead +10 .* no such image/)
      },
    )
  })

  it('shows the refusal with what is possible instead', async () => {
    await withApi(
      {
        [`POST ${SESSION}/hibernate`]: problem('transition_refused', 'a session that is stopped does not hibernate', {
          state: 'stopped',
          allowedActions: ['start', 'delete'],
        }),
        'POST /api/v1/sessions': problem('no_agent', 'no agent could ever take this', {
          refusals: [{ agentId: 'edge-1', reason: 'platform', detail: 'it is process' }],
        }),
      },
      async ({ run }) => {
        const refused = await run(['session', 'hibernate', ID])
        expect(refused.code).to.equal(1)
        expect(refused.stderr).to.equal(
          `streamspace: Not possible in this state: a session that is stopped does not hibernate
  possible now: start, delete
`,
        )
        const unplaced = await run(['session', 'create', 'hello-web'])
        expect(unplaced.code).to.equal(1)
        expect(unplaced.stderr).to.contain('agent edge-1: platform, it is process').and.to.contain('agent list')
      },
    )
  })

  it('ends quietly when its reader has seen enough', async () => {
    const many = Array.from({ length: 500 }, () => aSession({ name: 'x'.repeat(80) }))
    await withApi({ 'GET /api/v1/sessions': page(many) }, async ({ api }) => {
      const child = spawn(process.execPath, [CLI, 'session', 'list', '--all', '--json'], {
        env: { PATH: process.env.PATH, STREAMSPACE_URL: api.url, STREAMSPACE_API_KEY: 'ssk_x' },
      })
      let stderr = ''
      child.stderr.on('data', (chunk) => {
        stderr += chunk
      })
      child.stdout.once('data', () => child.stdout.destroy())
      const code = await new Promise((resolve) => child.once('close', resolve))
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
    })
  })

  it('shows on a terminal how waiting goes, in one line that goes away', async function () {
    // util-linux' script is what gives a program a terminal here; that of macOS takes other arguments.
    if (process.platform !== 'linux') this.skip()
    await withApi(
      {
        [`POST ${SESSION}/start`]: ok(onItsWay(), 202),
        [`GET ${SESSION}`]: [ok(onItsWay({ statusMessage: 'port 8080' })), ok(aSession())],
      },
      async ({ api }) => {
        const command = `${process.execPath} ${CLI} session start ${ID} --wait`
        const { code, stdout } = await runProgram('script', ['-qefc', command, '/dev/null'], {
          env: { STREAMSPACE_URL: api.url, STREAMSPACE_API_KEY: 'ssk_x', TERM: 'xterm', SHELL: '/bin/sh' },
        })
        expect(code).to.equal(0)
        expect(stdout).to.contain('\rscheduling · starting: port 8080 · 0s\u001b[K')
        expect(stdout).to.match(new RegExp(`\\r\\u001b\\[Ksession ${ID} \\(mine\\) is running, at http:`))
      },
    )
  })
})
