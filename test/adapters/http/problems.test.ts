import { expect } from 'chai'
import type { ApplicationError } from '../../../domain/errors.ts'
import { E } from '../../../domain/fp.ts'
import type { AgentId } from '../../../domain/ids.ts'
import { BadCursorError } from '../../../domain/ports/sessions.ts'
import { problemCodec } from '../../../src/api/problem.ts'
import { serve } from './api-server.ts'
import { fakeApplication, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`

describe('problems', () => {
  const stop = ['POST', `${SESSION}/stop`] as const
  /** Who can be answered so: every answer is held against the OpenAPI document. */
  const asked: { readonly [T in ApplicationError['_tag']]?: readonly [string, string, object?] } = {
    UnknownTemplate: ['POST', '/api/v1/sessions', { template: 'x' }],
    UnknownAgent: ['POST', '/api/v1/sessions', { template: 'x' }],
    NoAgent: ['POST', '/api/v1/sessions', { template: 'x' }],
    InvalidParameters: ['POST', '/api/v1/sessions', { template: 'x' }],
    AgentExists: ['POST', '/api/v1/agents', { id: 'a', platform: 'process' }],
    AgentHasSessions: ['DELETE', '/api/v1/agents/a'],
  }

  const answerWith = async (trouble: NonNullable<Parameters<typeof fakeApplication>[0]>) => {
    await using api = await serve(fakeApplication(trouble))
    const [method, path, body] = (trouble.refusal && asked[trouble.refusal._tag]) ?? stop
    const answer = await api.call(method, path, body === undefined ? {} : { body })
    expect(E.isRight(problemCodec.decode(answer.json)), answer.text).to.equal(true)
    expect(answer.headers.get('content-type')).to.equal('application/problem+json')
    expect(answer.json.requestId).to.equal(answer.headers.get('x-request-id'))
    expect(answer.json.status).to.equal(answer.status)
    expect(answer.json.type).to.equal(`urn:streamspace:problem:${answer.json.code}`)
    expect(answer.headers.get('cache-control')).to.equal('no-store')
    return { ...answer, logged: [...api.logged] }
  }

  const refusals: readonly (readonly [ApplicationError, number, string, object])[] = [
    [{ _tag: 'NotFound', what: 'session', id: 'x' }, 404, 'not_found', {}],
    [{ _tag: 'Forbidden', permission: 'operate' }, 403, 'forbidden', {}],
    [
      { _tag: 'TransitionRefused', action: 'hibernate', state: 'stopped', allowedActions: ['start', 'delete'] },
      409,
      'transition_refused',
      { state: 'stopped', allowedActions: ['start', 'delete'] },
    ],
    [{ _tag: 'VersionMismatch', current: 4 }, 412, 'precondition_failed', { version: 4 }],
    [
      { _tag: 'UnknownTemplate', name: 'x', version: null },
      422,
      'unknown_template',
      { errors: [{ field: 'template', message: 'is not known' }] },
    ],
    [
      { _tag: 'UnknownAgent', agentId: 'x' },
      422,
      'unknown_agent',
      { errors: [{ field: 'agentId', message: 'is not known' }] },
    ],
    [
      {
        _tag: 'NoAgent',
        detail: 'none',
        refusals: [{ agentId: 'a', reason: 'other_platform', detail: 'runs docker' }],
      },
      422,
      'no_agent',
      { detail: 'none', refusals: [{ agentId: 'a', reason: 'other_platform', detail: 'runs docker' }] },
    ],
    [
      { _tag: 'InvalidParameters', errors: [{ field: 'parameters.title', message: 'is required' }] },
      422,
      'invalid_parameters',
      { errors: [{ field: 'parameters.title', message: 'is required' }] },
    ],
    [{ _tag: 'AgentExists', agentId: 'a' as AgentId }, 409, 'agent_exists', {}],
    [{ _tag: 'AgentHasSessions', agentId: 'a' as AgentId, sessions: 2 }, 409, 'agent_has_sessions', { sessions: 2 }],
    [{ _tag: 'Contended', what: 'the session' }, 503, 'contended', {}],
  ]
  for (const [refusal, status, code, members] of refusals)
    it(`${refusal._tag} is a ${status} with code ${code}`, async () => {
      const answer = await answerWith({ refusal })
      expect(answer.status).to.equal(status)
      expect(answer.json.code).to.equal(code)
      for (const [member, value] of Object.entries(members)) expect(answer.json[member]).to.deep.equal(value)
      expect(answer.headers.get('retry-after')).to.equal(status === 503 ? '1' : null)
    })

  it('a lost database is a 503 that says when to come back', async () => {
    const fault = Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' })
    const answer = await answerWith({ fault })
    expect([answer.status, answer.json.code, answer.headers.get('retry-after')]).to.deep.equal([
      503,
      'unavailable',
      '2',
    ])
    expect(answer.text).to.not.include('administrator')
  })

  it('a bug is a 500 that tells nothing but where the log has more', async () => {
    const fault = Object.assign(new Error('column "secret" is odd'), { detail: 'Failing row contains (hunter2)' })
    const answer = await answerWith({ fault })
    expect([answer.status, answer.json.code]).to.deep.equal([500, 'internal_error'])
    expect(answer.text).to.not.include('secret')
    const line = answer.logged.find(({ msg }) => msg === 'a request failed')
    expect(line).to.include({ requestId: answer.json.requestId, path: `${SESSION}/stop`, level: 50 })
    expect(JSON.stringify(line)).to.include('column').and.not.include('hunter2')
  })

  it('a cursor of another list is a 400 on the cursor', async () => {
    await using api = await serve(fakeApplication({ fault: new BadCursorError() }))
    const answer = await api.call('GET', '/api/v1/sessions?cursor=abc')
    expect([answer.status, answer.json.errors[0].field]).to.deep.equal([400, 'cursor'])
  })

  it('a sane X-Request-Id is kept, any other is replaced', async () => {
    await using api = await serve(fakeApplication())
    const idFor = async (given: string) =>
      (await api.call('GET', '/api/v1/nothing', { headers: { 'x-request-id': given } })).json.requestId
    expect(await idFor('trace-1')).to.equal('trace-1')
    expect(await idFor('x'.repeat(128))).to.equal('x'.repeat(128))
    for (const given of ['x'.repeat(129), 'caf\u00e9', ''])
      expect(await idFor(given)).to.match(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
    const answer = await api.call('GET', SESSION, { headers: { 'x-request-id': 'trace-2' } })
    expect(answer.headers.get('x-request-id')).to.equal('trace-2')
  })

  it('the log has one line a request, without query strings and keys', async () => {
    await using api = await serve(fakeApplication())
    await api.call('GET', '/api/v1/sessions?q=private-thing')
    await api.call('GET', '/api/v1/sessions?token=private-thing')
    expect(api.logged.map(({ level, path, status, code }) => ({ level, path, status, code }))).to.deep.equal([
      { level: 20, path: '/api/v1/sessions', status: 200, code: undefined },
      { level: 30, path: '/api/v1/sessions', status: 400, code: 'invalid_request' },
    ])
    expect(JSON.stringify(api.logged)).to.not.include('private-thing').and.not.include('ssk_')
  })
})
