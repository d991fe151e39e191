import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { type Answer, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, server } from './support/streamspace.ts'
import { putTemplate } from './support/templates.ts'

describe('secrets, in the server’s log and in the audit trail', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('are in neither, wherever somebody puts them, at whatever level', async () => {
    const database = await migratedDatabase(here)
    const control = await server(here, database, { LOG_LEVEL: 'trace' })
    const { rest: api, url } = control
    const jwt = 'eyJhbGciOiJub25lIn0.eyJtYXJrIjoiTUFSSy1pbi1hLWp3dCJ9.c2lnbmF0dXJlMARK'
    const stray = `ssk_MARK${'a'.repeat(40)}`
    const token = await enrol(api, 'edge-1')
    await putTemplate(api, {
      name: 'secretive',
      displayName: 'Secretive',
      parameters: [{ name: 'PASSWORD', type: 'secret' }],
      spec: { process: { command: ['true'] } },
    })
    const answers: Answer[] = [
      await api.post('/sessions', {
        template: 'secretive',
        parameters: { PASSWORD: 'MARK-parameter' },
        env: { A: 'MARK-env' },
      }),
      await api.post('/sessions', { template: 'nothing', env: { A: 'MARK-refused' } }),
      await rest(url, stray).get('/sessions'),
      await rest(url, jwt).get('/sessions'),
      await api.get(`/sessions/${stray}`),
      await api.get(`/${stray}`),
      await api.get(`/sessions?q=${stray}&cursor=${jwt}`),
      await api.get('/sessions', { 'x-request-id': stray }),
      await api.get('/sessions', { 'streamspace-org': stray }),
      await api.ask('POST', '/sessions', { text: `{"template": "MARK-malformed ${stray}` }),
      await api.post('/sessions', { template: 'hello-web' }, { 'idempotency-key': 'MARK-idempotency-key' }),
      await api.post('/api-keys', { role: 'viewer' }),
    ]
    expect(answers[0]?.status, JSON.stringify(answers[0]?.body)).to.equal(201)
    const madeKey = answers.at(-1)?.body.key
    expect(madeKey).to.match(/^ssk_/)
    const entries = await eventually(async () => {
      const found = await api.all('/audit?limit=500')
      expect(found.some(({ action }) => action === 'createApiKey')).to.equal(true)
      expect(found.some(({ outcome }) => outcome === 'refused')).to.equal(true)
      return found
    })
    control.program.signal('SIGTERM')
    await control.program.end()
    const logs = control.program.stdout() + control.program.stderr()
    expect(logs.length).to.be.greaterThan(1_000)
    for (const secret of ['MARK', api.key, token, madeKey, jwt, stray])
      expect(logs.includes(secret), `${secret} in:\n${logs}`).to.equal(false)
    const trail = JSON.stringify(entries)
    for (const secret of ['MARK-parameter', 'MARK-env', 'MARK-idempotency-key', api.key, token, madeKey, jwt])
      expect(trail.includes(secret), secret).to.equal(false)
    expect(trail.includes(stray), 'in the trail').to.equal(false)
  })
})
