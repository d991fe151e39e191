/** One problem of each code, as the OpenAPI document shows them; the details are those of `adapters/http/problems.ts`, shortened. */
import type { JsonSchema } from '../../domain/codec/codec.ts'
import { type ProblemCode, problems, problemType } from './problem.ts'

const REQUEST_ID = '7f1e0f0a-3c0e-4c55-8c1c-6b0a4d1f8a52'

/** What a problem of this code has beside what all have, and what it says where that helps. */
const more: { readonly [C in ProblemCode]?: { readonly [member: string]: unknown } } = {
  invalid_request: {
    detail: 'name must not be empty; colour is not a known field',
    errors: [
      { field: 'name', message: 'must not be empty' },
      { field: 'colour', message: 'is not a known field' },
    ],
  },
  unauthorized: {
    detail: 'this key or token is not known, has expired or was revoked; it is sent as Authorization: Bearer …',
  },
  forbidden: {
    detail:
      'this takes the permission operate, which your role does not have: ask somebody who is operator or admin or installation',
  },
  not_found: { detail: 'there is no session "01890a5d-ac96-774b-bcce-b302099a8057" that you can see' },
  transition_refused: {
    detail: 'a session that is stopped does not take hibernate; it takes: start, wake, delete',
    state: 'stopped',
    allowedActions: ['start', 'wake', 'delete'],
  },
  precondition_failed: {
    detail: 'If-Match names another version than the current one, 4: read it again',
    version: 4,
  },
  no_agent: {
    detail: 'no agent of platform docker is enrolled',
    refusals: [{ agentId: 'edge-1', reason: 'platform', detail: 'it is of platform process' }],
  },
  unknown_template: {
    detail: 'there is no template "hello"',
    errors: [{ field: 'template', message: 'is not known' }],
  },
  unknown_agent: { detail: 'there is no agent "edge-9"', errors: [{ field: 'agentId', message: 'is not known' }] },
  invalid_parameters: {
    detail: 'parameters.depth must be at most 9',
    errors: [{ field: 'parameters.depth', message: 'must be at most 9' }],
  },
  agent_has_sessions: {
    detail: 'agent edge-1 has 2 sessions: delete them first (listed with agent=edge-1), or force it and lose them',
    sessions: 2,
  },
  quota_exceeded: {
    detail:
      'the quota of each user (here "ada") allows maxRunning 3: 3 are used, 1 more asked; stop, hibernate or delete something first, or have an installation key raise it',
    quota: 'maxRunning',
    scope: 'user',
    name: 'ada',
    limit: 3,
    used: 3,
    asked: 1,
  },
  org_in_use: {
    detail: 'org acme has 2 sessions and 1 agent: delete them first',
    sessions: 2,
    agents: 1,
  },
}

/** For `components.examples`. */
export const problemExamples = (): { readonly [C in ProblemCode]: JsonSchema } =>
  Object.fromEntries(
    (Object.keys(problems) as ProblemCode[]).map((code) => {
      const { status, title } = problems[code]
      const value = {
        type: problemType(code),
        title,
        status,
        detail: title,
        code,
        requestId: REQUEST_ID,
        ...more[code],
      }
      return [code, { summary: title, value }]
    }),
  ) as unknown as { readonly [C in ProblemCode]: JsonSchema }
