/**
 * The agent protocol, version 1 (`docs/protocol.md`): the codec of every frame. The one module that the
 * server and the agents share. Unknown fields are dropped, so that either side may be one version ahead;
 * text is made storable here, so that one poisoned frame never spoils a batch.
 */
import * as t from 'io-ts'
import * as c from '../domain/codec/codec.ts'
import { E } from '../domain/fp.ts'
import { AGENT_ID, type CommandId, isUuid, type SessionId } from '../domain/ids.ts'
import { commandTypes, desiredStates, observedStatuses } from '../domain/session/words.ts'

export const PROTOCOL_VERSION = 1
export const SUBPROTOCOL = 'streamspace.agent.v1'
export const CONNECT_PATH = '/agents/connect'
/** Frames above this close the socket with 1009. */
export const MAX_FRAME_BYTES = 1024 * 1024
/** The first frame has to be a hello, this soon (milliseconds). */
export const HELLO_TIMEOUT_MS = 5_000

export const closeCodes = {
  goingAway: 1001,
  tooManyBadFrames: 1008,
  frameTooLarge: 1009,
  badHello: 4001,
  protocolUnsupported: 4002,
  replaced: 4003,
  revoked: 4004,
  silent: 4008,
} as const

/** What PostgreSQL cannot hold is replaced, what is too long is cut: text from an agent is for people only. */
const text = (maxLength: number): c.Codec<string> =>
  c.codec('text', { type: 'string', maxLength }, (input, context) =>
    typeof input === 'string'
      ? t.success(input.slice(0, maxLength).toWellFormed().replaceAll('\u0000', '\ufffd'))
      : t.failure(input, context, 'must be a string'),
  )

const uuid = <Id extends string>(): c.Codec<Id> =>
  c.codec<Id>('uuid', { type: 'string', format: 'uuid' }, (input, context) =>
    typeof input === 'string' && isUuid(input)
      ? t.success(input.toLowerCase() as Id)
      : t.failure(input, context, 'must be a UUID'),
  )

const sessionId = uuid<SessionId>()
const commandId = uuid<CommandId>()
/** Far above what is ever reached, and far enough below what a number can hold to be raised. */
export const generation = c.integer({ minimum: 0, maximum: 2 ** 48 })
const count = c.integer({ minimum: 0, maximum: 2_147_483_647 })
/** RFC 3339. `Date.parse` alone takes years that PostgreSQL cannot hold, and one such would spoil a whole batch. */
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/
const time = c.refined(text(64), (value) =>
  RFC_3339.test(value) && !value.startsWith('0000') && !Number.isNaN(Date.parse(value))
    ? null
    : 'must be an RFC 3339 time',
)

const MAX_LABELS = 64
/** Names are for filters and lists, so they are short; a NUL in one is replaced as in any text. */
const labels: c.Codec<{ readonly [name: string]: string }> = c.codec('labels', { type: 'object' }, (input, context) => {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return t.failure(input, context, 'must be an object')
  // Before anything is done to each of them: a frame has room for a hundred thousand.
  const names = Object.keys(input)
  if (names.length > MAX_LABELS) return t.failure(input, context, `must have at most ${MAX_LABELS} entries`)
  const named = Object.entries(input).map(([name, value]) => [
    name.slice(0, 63).toWellFormed().replaceAll('\u0000', '\ufffd'),
    value,
  ])
  return c.record(text(256), { maxProperties: MAX_LABELS }).validate(Object.fromEntries(named), context)
})

const capacity = c.openObject({ maxSessions: count, cpuMillis: count, memoryMib: count })
export type WireCapacity = c.TypeOf<typeof capacity>

/** What people will click on: nothing that a browser would run. */
const endpointUrl = c.refined(text(2_048), (url) =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(url) && !/^(javascript|data|vbscript|file|blob):/i.test(url)
    ? null
    : 'must be the URL of a service',
)

const endpointPort = c.openObject({
  name: text(64),
  url: endpointUrl,
  port: c.integer({ minimum: 0, maximum: 65_535 }),
  protocol: text(32),
})
const endpoint = c.openObject(
  { url: endpointUrl, host: text(255), port: c.integer({ minimum: 0, maximum: 65_535 }), protocol: text(32) },
  { ports: c.array(endpointPort, { maxItems: 64 }) },
)
export type WireEndpoint = c.TypeOf<typeof endpoint>

const observedStatus = c.oneOf(observedStatuses)

/** What a platform can say of a workload beside its status. `null` says that it is no longer so. */
const observedDetails = {
  reason: c.nullable(text(64)),
  message: c.nullable(text(4_096)),
  exitCode: c.nullable(c.integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 })),
  exitSignal: c.nullable(text(32)),
  endpoint: c.nullable(endpoint),
  namespace: c.nullable(text(255)),
  podName: c.nullable(text(255)),
  serviceName: c.nullable(text(255)),
  containerId: c.nullable(text(255)),
  node: c.nullable(text(255)),
  image: c.nullable(text(512)),
  imageDigest: c.nullable(text(255)),
  restarts: count,
  lastOutput: c.nullable(text(4_096)),
} as const

const observed = c.openObject({ status: observedStatus }, observedDetails)
export type WireObserved = c.TypeOf<typeof observed>
export const observedCodec: c.Codec<WireObserved> = observed

/** Something for a session's history that changes nothing of it. One whose type is not known is left out of it. */
const note = c.openObject({ type: text(64), message: text(4_096) })
export type WireNote = c.TypeOf<typeof note>

const inventoryItem = c.openObject(
  { sessionId, generation, status: observedStatus },
  {
    reason: observedDetails.reason,
    endpoint: observedDetails.endpoint,
    message: observedDetails.message,
    restarts: observedDetails.restarts,
    exitCode: observedDetails.exitCode,
    exitSignal: observedDetails.exitSignal,
    lastOutput: observedDetails.lastOutput,
  },
)
export type InventoryItem = c.TypeOf<typeof inventoryItem>

/** Frames an agent sends. */
export const agentFrames = {
  hello: c.openObject(
    {
      type: c.oneOf(['hello']),
      protocol: c.integer(),
      agentId: c.string({ pattern: AGENT_ID }),
      platform: c.string({ minLength: 1, maxLength: 63 }),
      version: text(64),
      capacity,
    },
    { region: c.nullable(text(64)), labels, lastEpoch: c.integer({ minimum: 0, maximum: 2 ** 48 }) },
  ),
  inventory: c.openObject(
    { type: c.oneOf(['inventory']), items: c.array(inventoryItem, { maxItems: 20_000 }), final: c.boolean },
    { requestId: text(64) },
  ),
  heartbeat: c.openObject(
    {
      type: c.oneOf(['heartbeat']),
      at: time,
      activeSessions: count,
      inventoryHash: c.string({ pattern: '^[0-9a-f]{64}$' }),
    },
    { capacity },
  ),
  ack: c.openObject({ type: c.oneOf(['ack']), commandIds: c.array(commandId, { maxItems: 10_000 }) }),
  result: c.openObject(
    {
      type: c.oneOf(['result']),
      commandId,
      sessionId,
      generation,
      outcome: c.oneOf(['applied', 'superseded', 'failed', 'rejected']),
    },
    {
      error: c.nullable(c.openObject({ code: text(64), message: text(4_096) }, { retryable: c.boolean })),
      observed: c.nullable(observed),
    },
  ),
  status: c.openObject(
    { type: c.oneOf(['status']), sessionId, generation, status: observedStatus },
    { at: time, note, ...observedDetails },
  ),
  activity: c.openObject({ type: c.oneOf(['activity']), sessionId, lastActivityAt: time }),
  degraded: c.openObject({ type: c.oneOf(['degraded']), reason: c.nullable(text(1_024)) }),
  error: c.openObject({ type: c.oneOf(['error']) }, { code: text(64), message: text(4_096), about: text(256) }),
} as const

const wireSpec = c.openObject(
  { resources: c.openObject({ cpuMillis: count, memoryMib: count }), env: c.record(c.string()) },
  {
    process: c.openObject({ command: c.array(c.string(), { minItems: 1 }) }, { env: c.record(c.string()) }),
    container: c.anyObject,
    ports: c.array(c.openObject({ name: c.string() }, { port: c.integer(), protocol: c.string() })),
    home: c.openObject({}, { path: c.string(), sizeMib: c.integer() }),
    probe: c.openObject(
      { type: c.oneOf(['http', 'tcp', 'exec']) },
      {
        port: c.string(),
        path: c.string(),
        command: c.array(c.string(), { minItems: 1 }),
        intervalMs: c.integer({ minimum: 1 }),
        timeoutMs: c.integer({ minimum: 1 }),
      },
    ),
    restart: c.openObject(
      { policy: c.oneOf(['never', 'on-failure', 'always']) },
      { maxRetries: c.integer({ minimum: 0 }) },
    ),
    startTimeoutSeconds: c.integer({ minimum: 1 }),
    stopGraceSeconds: c.integer({ minimum: 0 }),
    docker: c.anyObject,
    kubernetes: c.anyObject,
  },
)
export type WireSpec = c.TypeOf<typeof wireSpec>

const desired = c.openObject({
  state: c.oneOf(desiredStates),
  incarnation: c.integer({ minimum: 0 }),
  spec: wireSpec,
  persistentHome: c.boolean,
  orgId: c.string(),
  userId: c.string(),
  name: c.string(),
  template: c.openObject({ name: c.string(), version: c.integer() }),
})
export type Desired = c.TypeOf<typeof desired>
export const desiredCodec: c.Codec<Desired> = desired

/** Frames a server sends. */
export const serverFrames = {
  welcome: c.openObject({
    type: c.oneOf(['welcome']),
    epoch: c.integer({ minimum: 0 }),
    replicaId: c.string(),
    heartbeatIntervalMs: c.integer({ minimum: 1 }),
    inventoryIntervalMs: c.integer({ minimum: 1 }),
    serverTime: time,
  }),
  command: c.openObject({
    type: c.oneOf(['command']),
    commandId,
    command: c.oneOf(commandTypes),
    sessionId,
    generation,
    attempt: c.integer({ minimum: 0 }),
    expiresAt: c.nullable(time),
    desired,
  }),
  inventoryRequest: c.openObject({ type: c.oneOf(['inventoryRequest']), requestId: c.string() }),
  bye: c.openObject({ type: c.oneOf(['bye']), reason: c.string(), reconnectAfterMs: c.integer({ minimum: 0 }) }),
  error: c.openObject({ type: c.oneOf(['error']), code: c.string(), message: c.string() }, { about: c.string() }),
} as const

type FrameOf<F> = { readonly [K in keyof F]: F[K] extends c.Codec<infer A> ? A : never }[keyof F]
export type AgentFrame = FrameOf<typeof agentFrames>
export type ServerFrame = FrameOf<typeof serverFrames>
export type Frame<T extends AgentFrame['type'] | ServerFrame['type']> = Extract<AgentFrame | ServerFrame, { type: T }>
export type HelloFrame = c.TypeOf<typeof agentFrames.hello>
export type CommandFrame = c.TypeOf<typeof serverFrames.command>

/** Codes of an `error` frame. Only the first two count against a socket. */
export const errorCodes = [
  'bad_frame',
  'bad_message',
  'unknown_type',
  'not_yours',
  'unexpected_generation',
  'internal',
] as const
export type ErrorCode = (typeof errorCodes)[number]

export type FrameError = {
  readonly code: 'bad_frame' | 'bad_message' | 'unknown_type'
  readonly message: string
  readonly about?: string
}

/** No frame of ours is nested deeper; half a million levels, which a frame has room for, take JSON.parse a quarter of a second. */
const MAX_DEPTH = 64
/** What is shorter has no room for nesting that would be noticed, and is nearly everything. */
const LONG = 65_536

const isNestedTooDeeply = (text: string): boolean => {
  if (text.length < LONG) return false
  let depth = 0
  let inText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) inText = !inText
    else if (inText) at += code === 0x5c ? 1 : 0
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_DEPTH) return true
    } else if (code === 0x5d || code === 0x7d) depth--
  }
  return false
}

type Frames = { readonly [type: string]: c.AnyCodec }

const frameDecoder =
  <F>(frames: Frames) =>
  (data: string): E.Either<FrameError, F> => {
    if (isNestedTooDeeply(data))
      return E.left({ code: data.startsWith('{') ? 'bad_message' : 'bad_frame', message: 'is nested too deeply' })
    let parsed: unknown
    try {
      parsed = JSON.parse(data)
    } catch {
      return E.left({ code: 'bad_frame', message: 'a frame is one JSON object' })
    }
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
      return E.left({ code: 'bad_frame', message: 'a frame is one JSON object' })
    const type = (parsed as { type?: unknown }).type
    if (typeof type !== 'string') return E.left({ code: 'bad_message', message: 'a frame has a type' })
    const codec = Object.hasOwn(frames, type) ? frames[type] : undefined
    if (codec === undefined)
      return E.left({
        code: 'unknown_type',
        message: 'this type is not known here and was ignored',
        about: type.slice(0, 64).toWellFormed(),
      })
    const decoded = codec.validate(parsed, [])
    if (E.isRight(decoded)) return E.right(decoded.right as F)
    // Of a version that says more in it, perhaps: that an error is not understood is no error to tell of.
    if (type === 'error') return E.right({ type } as F)
    const first = decoded.left[0]
    const field = first?.context.map((entry) => entry.key).join('.') ?? ''
    return E.left({
      code: 'bad_message',
      message: `${field === '' ? type : `${type}.${field}`.slice(0, 200).toWellFormed()} ${first?.message ?? 'is not valid'}`,
      about: type,
    })
  }

/** On the server: what an agent sent. Never throws. */
export const decodeAgentFrame = frameDecoder<AgentFrame>(agentFrames)
/** On the agent: what the server sent. Never throws. */
export const decodeServerFrame = frameDecoder<ServerFrame>(serverFrames)

export const encodeFrame = (frame: AgentFrame | ServerFrame): string => JSON.stringify(frame)

type HashedItem = Pick<InventoryItem, 'sessionId' | 'generation' | 'status'>

const HASHED_AT_ONCE = 512

/**
 * What `inventoryHash` is taken over, `sessionId:generation:status` an item, sorted bytewise, joined by `\n`; in pieces,
 * because an agent may have a hundred thousand items and says their hash with each heartbeat. Session ids are all of one
 * length, so that the order of ids is the order of lines. The hash itself (lower-case hex SHA-256) is the caller's, as this
 * module does no I/O and no crypto.
 */
export function* inventoryText(items: Iterable<HashedItem>): Generator<string> {
  const sorted = [...items].sort((a, b) => (a.sessionId < b.sessionId ? -1 : a.sessionId > b.sessionId ? 1 : 0))
  for (let from = 0; from < sorted.length; from += HASHED_AT_ONCE) {
    const lines = sorted
      .slice(from, from + HASHED_AT_ONCE)
      .map(hashedLine)
      .join('\n')
    yield from === 0 ? lines : `\n${lines}`
  }
}

const hashedLine = ({ sessionId, generation, status }: HashedItem): string => `${sessionId}:${generation}:${status}`
