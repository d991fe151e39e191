import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { sessionCodec, sessionPageCodec } from '../../../src/api/session.ts'
import { type ApiServer, serve } from './api-server.ts'
import { type FakeApplication, fakeApplication, NO_SUCH_ID, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`

describe('sessions over HTTP', () => {
  let app: FakeApplication
  let api: ApiServer
  before(async () => {
    app = fakeApplication()
    api = await serve(app)
  })
  after(() => api[Symbol.asyncDispose]())
  beforeEach(() => {
    app.calls.length = 0
  })

  it('a created session is a 201 with its location, its ETag and itself', async () => {
    const body = {
      template: 'hello-web',
      name: 'mine',
      labels: { team: 'web' },
      parameters: { title: 'x', deep: { is: ['the', 'use case’s business'] } },
      env: { A: '1' },
      resources: { memoryMib: 64 },
      idleTimeoutSeconds: null,
      maxDurationSeconds: 60,
    }
    const answer = await api.call('POST', '/api/v1/sessions', { body })
    expect(answer.status).to.equal(201)
    expect(answer.headers.get('location')).to.equal(SESSION)
    expect(answer.headers.get('etag')).to.match(/^"3-[0-9a-f]{8}"$/)
    expect(answer.headers.get('content-type')).to.equal('application/json; charset=utf-8')
    expect(E.isRight(sessionCodec.decode(answer.json))).to.equal(true)
    expect(app.calls).to.deep.equal([['create', body]])
  })

  it('each intent is a 202 with the session', async () => {
    for (const action of ['start', 'stop', 'hibernate', 'wake', 'restart']) {
      const answer = await api.call('POST', `${SESSION}/${action}`)
      expect([answer.status, answer.json.id]).to.deep.equal([202, SESSION_ID])
      expect(answer.headers.get('etag')).to.match(/^"3-/)
      expect(app.calls.pop()).to.deep.equal(['act', action, null])
    }
  })

  it('delete is a 202 with the session; force is asked for by name', async () => {
    const answer = await api.call('DELETE', SESSION)
    expect([answer.status, answer.json.status]).to.deep.equal([202, 'deleting'])
    await api.call('DELETE', `${SESSION}?force=true`)
    await api.call('DELETE', `${SESSION}?force=false`)
    expect(app.calls).to.deep.equal([
      ['remove', false, null],
      ['remove', true, null],
      ['remove', false, null],
    ])
    expect((await api.call('DELETE', `${SESSION}?force=yes`)).status).to.equal(400)
    expect((await api.call('DELETE', `/api/v1/sessions/${NO_SUCH_ID}`)).status).to.equal(404)
  })

  it('PATCH hands over what was sent and nothing else', async () => {
    const answer = await api.call('PATCH', SESSION, { body: { name: 'new', idleTimeoutSeconds: null } })
    expect(answer.status).to.equal(200)
    expect(app.calls).to.deep.equal([['update', { name: 'new', idleTimeoutSeconds: null }, null]])
    expect((await api.call('PATCH', SESSION, { body: { status: 'running' } })).status).to.equal(400)
  })

  it('activity is a 204 without a body', async () => {
    const answer = await api.call('POST', `${SESSION}/activity`)
    expect([answer.status, answer.text, answer.headers.get('content-length')]).to.deep.equal([204, '', null])
  })

  it('a list takes filters, sort and page', async () => {
    const answer = await api.call(
      'GET',
      '/api/v1/sessions?status=running,failed&user=ada&label=team=web,a=b=c&label=x=&q=Ad' +
        '&createdAfter=2026-01-01T00:00:00%2B01:00&sort=name&limit=7&cursor=abc',
    )
    expect(answer.status).to.equal(200)
    expect(E.isRight(sessionPageCodec.decode(answer.json))).to.equal(true)
    expect(app.calls).to.deep.equal([
      [
        'list',
        {
          status: ['running', 'failed'],
          user: ['ada'],
          label: [
            ['team', 'web'],
            ['a', 'b=c'],
            ['x', ''],
          ],
          q: 'Ad',
          createdAfter: new Date('2025-12-31T23:00:00.000Z'),
        },
        'name',
        { limit: 7, cursor: 'abc' },
      ],
    ])
  })

  it('a list has the fields that are asked for, and takes labels of several values', async () => {
    const answer = await api.call('GET', '/api/v1/sessions?fields=id,name&label=team%20in%20(web,api),a=b')
    expect(answer.status).to.equal(200)
    const filter = {
      label: [
        ['team', 'web', 'api'],
        ['a', 'b'],
      ],
    }
    expect(app.calls).to.deep.equal([['list', filter, '-createdAt', { limit: 50, cursor: null }, ['id', 'name']]])
    const refused = await api.call('GET', '/api/v1/sessions?fields=id,colour')
    expect([refused.status, refused.json.errors[0].field]).to.deep.equal([400, 'fields'])
    expect(refused.json.errors[0].message).to.include('"colour"')
  })

  it('a page of fields alone decodes, too', () => {
    const page = { items: [{ id: SESSION_ID }], nextCursor: null }
    expect(sessionPageCodec.decode(page)).to.deep.equal(E.right(page))
    expect(E.isLeft(sessionPageCodec.decode({ items: [{ id: 7 }], nextCursor: null }))).to.equal(true)
  })

  it('a list without parameters is the newest fifty', async () => {
    await api.call('GET', '/api/v1/sessions')
    expect(app.calls).to.deep.equal([['list', {}, '-createdAt', { limit: 50, cursor: null }]])
  })

  it('the summary is not taken for a session', async () => {
    const answer = await api.call('GET', '/api/v1/sessions/summary?status=running')
    expect([answer.status, answer.json.total]).to.deep.equal([200, 1])
    expect(app.calls).to.deep.equal([['summary', { status: ['running'] }]])
    expect((await api.call('GET', '/api/v1/sessions/summary?limit=1')).status).to.equal(400)
  })

  it('history and delivery come in pages', async () => {
    for (const what of ['events', 'commands']) {
      const answer = await api.call('GET', `${SESSION}/${what}?limit=2`)
      expect([answer.status, answer.json.items.length, answer.json.nextCursor]).to.deep.equal([200, 1, null])
      expect(app.calls.pop()).to.deep.equal([what, { limit: 2, cursor: null }])
    }
  })

  describe('conditions', () => {
    const ifMatchOf = async (header: string) => {
      await api.call('POST', `${SESSION}/stop`, { headers: { 'if-match': header } })
      return app.calls.pop()?.at(-1)
    }

    it('If-Match hands over the version of what was read', async () => {
      const etag = (await api.call('GET', SESSION)).headers.get('etag') ?? ''
      expect(await ifMatchOf(etag)).to.deep.equal([3])
      expect(await ifMatchOf('"2-00000000", "3-ffffffff"')).to.deep.equal([2, 3])
      expect(await ifMatchOf('*')).to.equal(null)
      await api.call('PATCH', SESSION, { body: {}, headers: { 'if-match': etag } })
      await api.call('DELETE', SESSION, { headers: { 'if-match': etag } })
      expect(app.calls.filter(([what]) => what !== 'get').map((call) => call.at(-1))).to.deep.equal([[3], [3]])
    })

    it('an If-Match that cannot be one of ours matches nothing', async () => {
      for (const header of ['W/"3-00000000"', 'nonsense', '3-00000000', '"abc"', '""', '"3-00000000', ''])
        expect(await ifMatchOf(header), header).to.deep.equal([])
    })

    it('If-None-Match is a 304 without a body while nothing has changed', async () => {
      const etag = (await api.call('GET', SESSION)).headers.get('etag') ?? ''
      for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const answer = await api.call('GET', SESSION, { headers: { 'if-none-match': header } })
        expect([header, answer.status, answer.text, answer.headers.get('etag')]).to.deep.equal([header, 304, '', etag])
      }
      const changed = await api.call('GET', SESSION, { headers: { 'if-none-match': '"3-00000000"' } })
      expect(changed.status).to.equal(200)
    })

    it('If-None-Match is a 304 for lists, histories and counts, too', async () => {
      for (const path of ['/api/v1/sessions', '/api/v1/sessions/summary', `${SESSION}/events`, '/api/v1/agents']) {
        const etag = (await api.call('GET', path)).headers.get('etag') ?? ''
        expect(etag, path).to.match(/^"[0-9a-f]{16}"$/)
        const again = await api.call('GET', path, { headers: { 'if-none-match': etag } })
        expect([path, again.status, again.text]).to.deep.equal([path, 304, ''])
      }
    })

    it('If-None-Match does not stop a change', async () => {
      const answer = await api.call('POST', `${SESSION}/stop`, { headers: { 'if-none-match': '*' } })
      expect(answer.status).to.equal(202)
    })
  })
})
