import { expect } from 'chai'
import { anAgent, aSession, ID, OTHER_ID, ok } from './fake-api.ts'
import { withApi } from './with-api.ts'

const problem = {
  type: 'urn:x',
  title: 'Not found',
  status: 404,
  code: 'not_found',
  detail: 'there is no such session',
}
const progress = {
  agentId: 'edge-1',
  draining: true,
  startedAt: '2026-01-01T00:00:00.000Z',
  startedBy: 'user:ada',
  remaining: 0,
  moving: 0,
  movable: 0,
  items: [],
  nextCursor: null,
}

describe('streamspace session batch', () => {
  it('counts what the filters find, and says what became of each', async () => {
    await withApi(
      {
        'GET /api/v1/sessions/summary': ok({ total: 2, byStatus: {} }),
        'POST /api/v1/sessions/batch': ok({
          items: [
            { id: ID, status: 202, session: aSession({ status: 'stopping' }) },
            { id: OTHER_ID, status: 404, problem },
          ],
        }),
      },
      async ({ api, run }) => {
        const { code, stdout, stderr } = await run([
          'session',
          'batch',
          'stop',
          '--label',
          'team=web',
          '--status',
          'running',
        ])
        expect(code).to.equal(1)
        expect(stdout)
          .to.match(new RegExp(`${ID} +mine +stopping`))
          .and.to.match(/refused +there is no such session/)
        expect(stderr).to.match(/1 of 2 were refused/)
        expect(api.asked.at(-1)?.body).to.deep.equal({
          action: 'stop',
          filter: { label: ['team=web'], status: ['running'] },
          expectedCount: 2,
        })
      },
    )
  })

  it('deletes what filters find only when it is said how many that is', async () => {
    const answers = {
      'GET /api/v1/sessions/summary': ok({ total: 8, byStatus: {} }),
      'POST /api/v1/sessions/batch': ok({ items: [] }),
    }
    await withApi(answers, async ({ api, run }) => {
      const { code, stderr } = await run(['session', 'batch', 'delete', '--q', 's'])
      expect([code, api.asked.filter(({ method }) => method === 'POST').length]).to.deep.equal([2, 0])
      expect(stderr).to.contain('that is 8: say --expect 8')
      expect((await run(['session', 'batch', 'delete', '--q', 's', '--expect', '8'])).code).to.equal(0)
      expect(api.asked.at(-1)?.body).to.deep.equal({ action: 'delete', filter: { q: 's' }, expectedCount: 8 })
    })
  })

  it('acts in the org of STREAMSPACE_ORG', async () => {
    await withApi({ 'GET /api/v1/sessions': ok({ items: [], nextCursor: null }) }, async ({ api, run }) => {
      expect((await run(['session', 'list'], { env: { STREAMSPACE_ORG: 'acme' } })).code).to.equal(0)
      expect(api.asked.at(-1)?.headers).to.include({ 'streamspace-org': 'acme' })
    })
  })

  it('is asked wrongly without ids and filters, or with both', async () => {
    await withApi({}, async ({ run }) => {
      for (const more of [[], [ID, '--all']])
        expect((await run(['session', 'batch', 'delete', ...more])).code).to.equal(2)
      expect((await run(['session', 'batch', 'start', ID])).code).to.equal(2)
    })
  })
})

describe('streamspace session plan', () => {
  it('shows where it would go, and each agent that would not have it', async () => {
    const plan = {
      agentId: 'edge-1',
      platform: 'process',
      region: null,
      strategy: 'spread',
      status: 'scheduling',
      statusReason: 'queued_for_agent',
      statusMessage: 'would go to agent edge-1: 20 % of it would be in use',
      refusals: [{ agentId: 'edge-2', reason: 'agent_cordoned', detail: 'takes no new sessions' }],
      refused: 1,
    }
    await withApi({ 'POST /api/v1/sessions/plan': ok(plan) }, async ({ api, run }) => {
      const { code, stdout } = await run(['session', 'plan', 'hello-web', '--agent-label', 'gpu=a100'])
      expect(code).to.equal(0)
      expect(stdout)
        .to.match(/^would go to agent edge-1/)
        .and.to.match(/edge-2 +agent_cordoned +takes no new sessions/)
      expect(api.asked.at(-1)?.body).to.deep.include({ agentLabels: { gpu: 'a100' } })
    })
  })
})

describe('streamspace agent drain', () => {
  const agent = { id: 'edge-1', cordoned: true, draining: true }

  it('waits until all has moved that can, and fails when something stays', async () => {
    const drained = ok(anAgent(agent), 202)
    const steps = [
      { ...progress, remaining: 3, moving: 1, movable: 1 },
      { ...progress, remaining: 1 },
    ]
    await withApi(
      { 'POST /api/v1/agents/edge-1/drain': drained, 'GET /api/v1/agents/edge-1/drain': steps.map((one) => ok(one)) },
      async ({ run }) => {
        const { code, stdout, stderr } = await run(['agent', 'drain', 'edge-1', '--wait'])
        expect(code).to.equal(1)
        expect(stdout).to.match(/1 remaining, 0 moving, 0 to be moved/)
        expect(stderr).to.match(/something stays/)
      },
    )
    await withApi(
      { 'POST /api/v1/agents/edge-1/drain': drained, 'GET /api/v1/agents/edge-1/drain': ok(progress) },
      async ({ run }) => {
        expect((await run(['agent', 'drain', 'edge-1', '--wait'])).code).to.equal(0)
        expect((await run(['agent', 'drain', 'edge-1'])).stdout).to.match(/is being drained/)
      },
    )
  })
})
