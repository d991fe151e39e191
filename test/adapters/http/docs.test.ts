import { expect } from 'chai'
import { routes } from '../../../src/api/routes.ts'
import { type ApiServer, serve } from './api-server.ts'
import { fakeApplication, SESSION_ID } from './fake-application.ts'

describe('the document and its page', () => {
  let api: ApiServer
  before(async () => {
    api = await serve(fakeApplication())
  })
  after(() => api[Symbol.asyncDispose]())

  it('every operation of the document is served', async () => {
    const { json } = await api.call('GET', '/openapi.json')
    const operations = Object.entries<Record<string, { operationId: string; responses: object }>>(json.paths).flatMap(
      ([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    )
    expect(operations.map(({ operation }) => operation.operationId)).to.have.members(Object.keys(routes))
    for (const { path, method, operation } of operations) {
      const answer = await api.call(
        method.toUpperCase(),
        path.replace('{id}', path.includes('/agents/') ? 'edge-1' : SESSION_ID).replace('{name}', 'hello-web'),
        ['createSession', 'putTemplate', 'enrolAgent', 'changeSession'].includes(operation.operationId)
          ? { body: [] }
          : {},
      )
      expect([operation.operationId, answer.status]).to.satisfy(
        ([, status]: [string, number]) => status < 405,
        `${method} ${path}: ${answer.status}`,
      )
      expect(Object.keys(operation.responses), operation.operationId).to.include(String(answer.status))
    }
  })

  it('the address itself leads to the page', async () => {
    const answer = await fetch(api.url, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).to.deep.equal([302, '/docs'])
    expect((await fetch(api.url)).status).to.equal(200)
    expect((await api.call('POST', '/')).status).to.equal(405)
  })

  it('the document has an ETag', async () => {
    const { headers } = await api.call('GET', '/openapi.json')
    const again = await api.call('GET', '/openapi.json', { headers: { 'if-none-match': headers.get('etag') ?? '' } })
    expect(again.status).to.equal(304)
  })

  it('the page and everything that it loads come from here, under a policy without inline scripts', async () => {
    const page = await api.call('GET', '/docs', { anonymous: true })
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy)
      .to.match(/script-src 'self'(;|$)/)
      .and.include("default-src 'none'")
    expect(page.text).to.not.match(/<script>|https?:\/\//)
    const loaded = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '')
    expect(loaded).to.include('/docs/swagger-ui-bundle.js').and.include('/docs/swagger-ui.css')
    for (const path of loaded) {
      const { status, text } = await api.call('GET', path, { anonymous: true })
      expect([path, status, text.length > 0]).to.deep.equal([path, 200, true])
    }
    expect((await api.call('GET', '/docs/start.js')).headers.get('content-type')).to.match(/javascript/)
  })

  it('nothing else of the package is served', async () => {
    for (const path of ['/docs/package.json', '/docs/index.html', '/docs/..%2fpackage.json', '/docs/../package.json'])
      expect((await api.call('GET', path)).status, path).to.equal(404)
  })
})
