import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { anAgent, aSession, aTemplate, ID, ok, page, problem } from './fake-api.ts'
import { inTemporaryDirectory } from './run-cli.ts'
import { withApi } from './with-api.ts'

const TOKEN = 'ssa_0123456789'
const enrolled = ok({ ...anAgent({ status: 'offline', capacity: null }), token: TOKEN }, 201)
const ENROL = ['agent', 'enrol', 'edge-1', '--platform', 'process']

describe('streamspace agent', () => {
  it('enrols an agent and shows its token with how to start it', async () => {
    await withApi({ 'POST /api/v1/agents': enrolled }, async ({ api, run }) => {
      const { code, stdout, stderr } = await run([...ENROL, '--shared', '--region', 'eu', '--label', 'a=b'])
      expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${TOKEN}\n` })
      expect(stderr).to.contain(
        `STREAMSPACE_AGENT_ID=edge-1 STREAMSPACE_AGENT_TOKEN=${TOKEN} streamspace agent process`,
      )
      expect(api.asked[0]?.body).to.deep.equal({
        id: 'edge-1',
        platform: 'process',
        orgId: null,
        region: 'eu',
        labels: { a: 'b' },
      })
    })
  })

  it('writes the token to a file that only its owner reads, and prints nothing secret', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await withApi({ 'POST /api/v1/agents': enrolled }, async ({ run }) => {
        const { code, stdout, stderr } = await run([...ENROL, '--token-file', 'new/token'], { cwd })
        expect(code).to.equal(0)
        expect(stdout + stderr).not.to.contain(TOKEN)
        expect((await readFile(join(cwd, 'new/token'), 'utf8')).trim()).to.equal(TOKEN)
        expect((await stat(join(cwd, 'new/token'))).mode & 0o777).to.equal(0o600)
      })
    })
  })

  it('leaves an agent alone that is enrolled and whose token is kept', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await writeFile(join(cwd, 'token'), 'ssa_kept\n')
      const again = [...ENROL, '--token-file', 'token']
      await withApi({ 'GET /api/v1/agents/edge-1': ok(anAgent()) }, async ({ api, run }) => {
        expect((await run(again, { cwd })).code).to.equal(0)
        expect(api.asked.map(({ method }) => method)).to.deep.equal(['GET'])
      })
      await withApi({ 'GET /api/v1/agents/edge-1': ok(anAgent({ platform: 'docker' })) }, async ({ run }) => {
        const { code, stderr } = await run(again, { cwd })
        expect(code).to.equal(1)
        expect(stderr).to.contain('enrolled already, but for docker')
      })
      expect(await readFile(join(cwd, 'token'), 'utf8')).to.equal('ssa_kept\n')
      // A new database does not know the agent, nor the token.
      await withApi({ 'POST /api/v1/agents': enrolled }, async ({ run }) => {
        expect((await run(again, { cwd })).code).to.equal(0)
      })
      expect(await readFile(join(cwd, 'token'), 'utf8')).to.equal(`${TOKEN}\n`)
    })
  })

  it('leaves a file alone that holds something else', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await writeFile(join(cwd, 'notes'), 'mine\n')
      await withApi({}, async ({ api, run }) => {
        for (const ask of [ENROL, ['agent', 'rotate-token', 'edge-1']]) {
          const { code, stderr } = await run([...ask, '--token-file', 'notes'], { cwd })
          expect(code).to.equal(2)
          expect(stderr).to.contain("notes is there already, and is no agent's token: name a new file")
        }
        expect(api.asked).to.deep.equal([])
      })
      expect(await readFile(join(cwd, 'notes'), 'utf8')).to.equal('mine\n')
    })
  })

  it('tells of a platform for which there is no agent here that it needs one of one’s own', async () => {
    const foreign = ok({ ...anAgent({ platform: 'vmware' }), token: TOKEN }, 201)
    await withApi({ 'POST /api/v1/agents': foreign }, async ({ run }) => {
      const { code, stderr } = await run(['agent', 'enrol', 'edge-1', '--platform', 'vmware'])
      expect(code).to.equal(0)
      expect(stderr).to.contain('no agent for vmware comes with this program').and.not.contain('agent vmware\n')
    })
  })

  it('asks for no token that could not be kept', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await mkdir(join(cwd, 'token'))
      await chmod(join(cwd, 'token'), 0o700)
      const answers = { 'POST /api/v1/agents': enrolled, 'DELETE /api/v1/agents/edge-1': { status: 204 } }
      await withApi(answers, async ({ api, run }) => {
        const { code, stderr } = await run([...ENROL, '--token-file', 'token'], { cwd })
        expect(code).to.equal(1)
        expect(stderr).to.contain('the file token:')
        expect(api.asked).to.deep.equal([])
      })
      expect(await readdir(cwd)).to.deep.equal(['token'])
    })
  })

  it('says what to do when an agent exists, or has sessions', async () => {
    await withApi(
      {
        'POST /api/v1/agents': problem('agent_exists', 'an agent edge-1 is enrolled already'),
        'DELETE /api/v1/agents/edge-1': (asked) =>
          asked.query.force === 'true'
            ? ok({ agentId: 'edge-1', count: 2, sessions: [{ id: ID, name: 'desk', orgId: 'acme' }] })
            : problem('agent_has_sessions', 'agent edge-1 has 2 sessions', { sessions: 2 }),
      },
      async ({ run }) => {
        const exists = await run(ENROL)
        expect(exists.code).to.equal(1)
        expect(exists.stderr).to.contain('agent rotate-token')
        const held = await run(['agent', 'delete', 'edge-1'])
        expect(held.code).to.equal(1)
        expect(held.stderr).to.contain('has 2 sessions').and.to.contain('--force')
        const removed = await run(['agent', 'delete', 'edge-1', '--force'])
        expect(removed.code).to.equal(0)
        expect(removed.stdout).to.contain('agent edge-1 is removed').and.to.contain('2 sessions').and.to.contain('desk')
      },
    )
  })

  it('lists, shows, cordons and rotates', async () => {
    await withApi(
      {
        'GET /api/v1/agents': page([anAgent({ cordoned: true })]),
        'GET /api/v1/agents/edge-1': ok(anAgent()),
        'POST /api/v1/agents/edge-1/cordon': ok(anAgent({ cordoned: true })),
        'POST /api/v1/agents/edge-1/uncordon': ok(anAgent()),
        'POST /api/v1/agents/edge-1/token': ok({ ...anAgent(), token: TOKEN }),
      },
      async ({ run }) => {
        expect((await run(['agent', 'list'])).stdout).to.match(/edge-1 +online +process +- +1\/10 .* cordoned/)
        expect((await run(['agent', 'get', 'edge-1'])).stdout).to.match(/^cpu +250 of 4000 mCPU$/m)
        expect((await run(['agent', 'cordon', 'edge-1'])).stdout).to.equal('agent edge-1 is cordoned\n')
        expect(JSON.parse((await run(['agent', 'uncordon', 'edge-1', '--json'])).stdout).cordoned).to.equal(false)
        expect((await run(['agent', 'rotate-token', 'edge-1'])).stdout).to.equal(`${TOKEN}\n`)
      },
    )
  })

  it('shows orphans, and approves those that are named or all', async () => {
    const orphan = {
      sessionId: ID,
      agentId: 'edge-1',
      generation: 3,
      status: 'running',
      reason: 'unknown',
      state: 'seen',
      firstSeenAt: '2026-01-01T00:00:00.000Z',
      lastSeenAt: '2026-01-01T00:00:00.000Z',
      approvedAt: null,
      approvedBy: null,
      commandId: null,
      removalBegunAt: null,
      endedAt: null,
    }
    await withApi(
      {
        'GET /api/v1/agents/edge-1/orphans': page([orphan]),
        'POST /api/v1/agents/edge-1/orphans/approve': ok({ approved: 1 }, 202),
      },
      async ({ api, run }) => {
        expect((await run(['agent', 'orphans', 'edge-1', '--state', 'seen'])).stdout).to.match(
          new RegExp(`${ID} +seen +unknown +running +3 `),
        )
        expect((await run(['agent', 'approve-orphans', 'edge-1', ID])).stdout).to.contain('1 orphans of agent edge-1')
        expect((await run(['agent', 'approve-orphans', 'edge-1', '--all'])).code).to.equal(0)
        expect((await run(['agent', 'approve-orphans', 'edge-1'])).code).to.equal(2)
        expect(api.asked.slice(1).map(({ body }) => body)).to.deep.equal([{ sessionIds: [ID] }, {}])
      },
    )
  })

  it('makes a session of an orphan, with a template that its org sees', async () => {
    const template = { name: 'desk', version: 1, parameters: [{ name: 'width', type: 'integer' as const }] }
    await withApi(
      {
        'GET /api/v1/templates/desk': ok(aTemplate(template)),
        [`POST /api/v1/agents/edge-1/orphans/${ID}/adopt`]: ok(aSession({ orgId: 'acme' }), 201),
      },
      async ({ api, run }) => {
        const adopt = ['agent', 'adopt', 'edge-1', ID, '--org', 'acme', '--user', 'ada', '--template', 'desk']
        const done = await run([...adopt, '--name', 'Desk', '--param', 'width=800', '--no-persistent-home'])
        expect([done.code, done.stderr]).to.deep.equal([0, ''])
        expect(done.stdout).to.contain(ID)
        expect(api.asked.map(({ headers }) => headers['streamspace-org'])).to.deep.equal(['acme', undefined])
        expect(api.asked.at(-1)?.body).to.deep.equal({
          orgId: 'acme',
          userId: 'ada',
          template: 'desk',
          name: 'Desk',
          parameters: { width: 800 },
          persistentHome: false,
        })
        expect((await run(adopt.slice(0, 6))).code).to.equal(2)
        expect((await run(['agent', 'adopt', 'edge-1', 'mine', ...adopt.slice(4)])).code).to.equal(2)
      },
    )
  })

  it('says what happened to orphans, and whether they are removed at all', async () => {
    const at = '2026-01-01T00:00:00.000Z'
    const event = { id: 1, agentId: 'edge-1', type: 'orphans_seen', at, actor: 'agent:edge-1', data: {} }
    const halted = {
      ...{ halted: true, haltedAt: at, haltedBy: 'edge-1', haltedReason: 'the database is older' },
      resumedAt: null,
      resumedBy: null,
      revision: 1,
    }
    const inAcme = { orgId: 'acme', haltedAt: at, haltedBy: 'edge-7', haltedReason: 'older than edge-7' }
    await withApi(
      {
        'GET /api/v1/agents/edge-1/events': page([event]),
        'GET /api/v1/orphan-removal': ok({ ...halted, haltedOrgs: 7, orgs: [inAcme] }),
        'GET /api/v1/orgs/acme/orphan-removal': ok({ ...halted, orgId: 'acme' }),
        'POST /api/v1/orgs/acme/orphan-removal/halt': ok({ ...halted, orgId: 'acme' }),
        'POST /api/v1/orgs/acme/orphan-removal/resume': ok({ ...halted, halted: false, orgId: 'acme' }),
        'POST /api/v1/orphan-removal/resume': ok({
          haltedOrgs: 0,
          orgs: [],
          halted: false,
          haltedAt: null,
          haltedBy: null,
          haltedReason: null,
          resumedAt: at,
          resumedBy: 'user:ada',
          revision: 2,
        }),
      },
      async ({ run }) => {
        expect((await run(['agent', 'events', 'edge-1'])).stdout).to.contain('orphans_seen')
        const everywhere = await run(['agent', 'orphan-removal'])
        expect(everywhere.stdout).to.contain('the database is older')
        expect(everywhere.stdout).to.match(/ORG +SINCE +HALTED BY +REASON\s+acme .* edge-7 +older than edge-7/)
        expect(everywhere.stderr).to.contain('only the first 1 of 7 orgs')
        expect((await run(['agent', 'orphan-removal', '--resume'])).stdout).to.contain('as far as the brake allows')
        const ofAcme = (...how: string[]) => run(['agent', 'orphan-removal', '--org', 'acme', ...how])
        for (const how of [[], ['--halt']])
          expect((await ofAcme(...how)).stdout).to.match(/org +acme\norphans +of its own agents are not removed/)
        expect((await ofAcme('--resume')).stdout).to.contain('of its own agents are removed')
        expect(JSON.parse((await ofAcme('--json')).stdout)).to.include({ orgId: 'acme', halted: true })
      },
    )
  })

  it('runs agents of its platforms with the same word', async () => {
    await withApi({}, async ({ run }) => {
      const { code, stderr } = await run(['agent', 'process'])
      expect(code).to.equal(2)
      expect(stderr).to.contain('STREAMSPACE_AGENT_ID')
    })
  })
})
