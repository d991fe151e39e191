/** A server that plays the API: answers as the test says, and remembers what it was asked. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Agent } from '../../../src/api/agent.ts'
import { type ProblemCode, problems, problemType } from '../../../src/api/problem.ts'
import type { Session } from '../../../src/api/session.ts'
import type { Template } from '../../../src/api/template.ts'

export const KEY = 'ssk_0123456789abcdefghijABCDEFGHIJ01'
export const ID = '01890a5d-ac96-774b-bcce-b302099a8057'
export const OTHER_ID = '01890a5d-ac96-774b-bcce-b30209900000'

export type Asked = {
  readonly method: string
  readonly path: string
  readonly query: { readonly [name: string]: string }
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

export type Answer = {
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  readonly json?: unknown
}

/** By `GET /api/v1/sessions`; several answers are given in turn, the last one from then on. */
export type Answers = { readonly [operation: string]: Answer | readonly Answer[] | ((asked: Asked) => Answer) }

export type FakeApi = { readonly url: string; readonly asked: Asked[]; readonly close: () => Promise<void> }

export const startFakeApi = async (answers: Answers): Promise<FakeApi> => {
  const asked: Asked[] = []
  const turns = new Map<string, number>()

  const answerTo = (request: Asked): Answer => {
    const operation = `${request.method} ${request.path}`
    const answer = answers[operation]
    if (answer === undefined) return problem('not_found', `nothing at ${operation}`)
    if (typeof answer === 'function') return answer(request)
    if (!Array.isArray(answer)) return answer as Answer
    const turn = turns.get(operation) ?? 0
    turns.set(operation, turn + 1)
    return answer[Math.min(turn, answer.length - 1)]
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://fake')
    const sent = await text(request)
    const one: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body: sent === '' ? undefined : JSON.parse(sent),
    }
    asked.push(one)
    const { status, headers = {}, json } = answerTo(one)
    response.writeHead(status, {
      ...(json === undefined ? {} : { 'Content-Type': 'application/json; charset=utf-8' }),
      ...headers,
    })
    response.end(json === undefined ? undefined : JSON.stringify(json))
  }

  const server = createServer((request, response) => void handle(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export const ok = (json: unknown, status = 200, headers: Answer['headers'] = {}): Answer => ({ status, json, headers })

export const page = (items: readonly unknown[], nextCursor: string | null = null): Answer => ok({ items, nextCursor })

export const problem = (
  code: ProblemCode,
  detail: string,
  more: { readonly [member: string]: unknown } = {},
  headers: Answer['headers'] = {},
): Answer => ({
  status: problems[code].status,
  headers: { 'Content-Type': 'application/problem+json', ...headers },
  json: { type: problemType(code), ...problems[code], detail, code, requestId: 'req-1', ...more },
})

export const aSession = (changes: Partial<Session> = {}): Session => ({
  id: ID,
  name: 'mine',
  orgId: 'default',
  userId: 'ada',
  template: { name: 'hello-web', version: 1 },
  platform: 'process',
  region: null,
  labels: { team: 'web' },
  parameters: { title: 'Home', password: null },
  env: {},
  persistentHome: true,
  agentId: 'edge-1',
  agentReachable: true,
  desiredState: 'running',
  status: 'running',
  statusReason: null,
  statusMessage: null,
  refusals: [],
  waitingSince: null,
  deadline: null,
  generation: 1,
  observedGeneration: 1,
  endpoint: {
    url: 'http://127.0.0.1:4000/?token=x',
    host: '127.0.0.1',
    port: 4000,
    protocol: 'http',
    ports: [{ name: 'http', url: 'http://127.0.0.1:4000/', port: 4000, protocol: 'http' }],
  },
  namespace: null,
  podName: null,
  serviceName: null,
  incarnation: 1,
  resources: { cpuMillis: 250, memoryMib: 128 },
  idleTimeoutSeconds: null,
  maxDurationSeconds: null,
  lastActivityAt: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  deletedAt: null,
  restarts: 0,
  exitCode: null,
  exitSignal: null,
  lastOutput: null,
  node: null,
  image: null,
  imageDigest: null,
  containerId: null,
  version: 1,
  ...changes,
})

/** Asked to run, and not there yet. */
export const onItsWay = (changes: Partial<Session> = {}): Session =>
  aSession({ status: 'scheduling', statusReason: 'starting', endpoint: null, observedGeneration: 0, ...changes })

export const aTemplate = (changes: Partial<Template> = {}): Template => ({
  name: 'hello-web',
  version: 1,
  orgId: null,
  displayName: 'Hello',
  platforms: ['process'],
  spec: { process: { command: ['node', 'hello.js'] } },
  createdAt: '2026-01-01T00:00:00.000Z',
  archivedAt: null,
  ...changes,
})

export const anAgent = (changes: Partial<Agent> = {}): Agent => ({
  id: 'edge-1',
  orgId: 'default',
  platform: 'process',
  region: null,
  labels: {},
  version: '2.0.0',
  status: 'online',
  statusReason: null,
  cordoned: false,
  draining: false,
  capacity: { cpuMillis: 4_000, memoryMib: 8_192, maxSessions: 10 },
  allocated: { cpuMillis: 250, memoryMib: 128, sessions: 1 },
  epoch: 1,
  replicaId: null,
  connectedAt: '2026-01-01T00:00:00.000Z',
  disconnectedAt: null,
  lastHeartbeatAt: '2026-01-01T00:00:00.000Z',
  revision: 1,
  ...changes,
})
