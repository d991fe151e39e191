import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { serve } from './api-server.ts'
import { fakeApplication, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`

describe('more requests at once than a replica takes', () => {
  it('are refused at once, with nothing done, until others have their answers', async () => {
    const app = fakeApplication()
    const goOn = Promise.withResolvers<void>()
    let begun = 0
    const slow: typeof app = {
      ...app,
      sessions: {
        ...app.sessions,
        get: (caller, id) => async () => {
          begun += 1
          await goOn.promise
          return app.sessions.get(caller, id)()
        },
      },
    }
    await using api = await serve(slow, { requestsAtOnce: 2 })
    const held = [api.call('GET', SESSION), api.call('GET', SESSION)]
    await eventually(() => expect(begun).to.equal(2))

    const refused = await api.call('POST', '/api/v1/sessions', { body: { template: 'hello-web' } })
    expect(refused.status).to.equal(503)
    expect(refused.headers.get('retry-after')).to.equal('1')
    expect(refused.json).to.include({ code: 'overloaded' })
    expect(app.calls).to.deep.equal([])
    expect((await api.call('GET', '/healthz', { anonymous: true })).status).to.equal(200)
    expect((await api.call('GET', '/readyz', { anonymous: true })).status).to.equal(200)
    expect(api.logged.filter(({ refused: count }) => count === 1)).to.have.length(1)

    goOn.resolve()
    for (const one of held) expect((await one).status).to.equal(200)
    expect((await api.call('GET', SESSION)).status).to.equal(200)
  })

  it('a request whose body is slow to come keeps nobody out', async () => {
    await using api = await serve(fakeApplication(), { requestsAtOnce: 1 })
    const body = new TransformStream<Uint8Array>()
    const writer = body.writable.getWriter()
    const raw = body.readable
    const headers = { 'content-type': 'application/json' }
    const slow = api.call('POST', '/api/v1/sessions', { raw, headers })
    await writer.write(Buffer.from('{"template":'))
    for (let i = 0; i < 5; i += 1) expect((await api.call('GET', SESSION)).status).to.equal(200)
    await writer.write(Buffer.from('"hello-web"}'))
    await writer.close()
    expect((await slow).status).to.equal(201)
  })
})
