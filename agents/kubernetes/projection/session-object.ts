/** One session as an object for people: never its environment, its command, its output or its access token. Pure. */
import type { Desired, WireEndpoint } from '../../protocol.ts'
import { kinds } from '../kinds.ts'
import { labelsOf, nameOf } from '../names.ts'
import { generationOf, type SessionRecord } from '../record.ts'
import { type Life, notSeenYet } from '../session-life.ts'
import { databaseStatus } from './database-words.ts'
import type { Content, Wanted } from './object.ts'

/** `leave`: nothing is known that could be said of it, so what is there stays as it is. */
export type Asked = Wanted | 'leave' | null

type About = Pick<Life, 'sessionId' | 'anchor' | 'observed'>

/** `before`: what is there; a condition that has not changed keeps its time. */
export const sessionObjectOf = (
  life: About | undefined,
  agentId: string,
  before: Content | null,
  now: () => Date,
): Asked => {
  const anchor = life?.anchor ?? null
  if (life === undefined || anchor === null) return null
  const { record, going } = anchor
  if (record === null) return 'leave'
  // A new agent has not looked yet: what the one before it wrote is better than a guess.
  if (record.settled && record.phase === 'up' && life.observed === notSeenYet && !going) return 'leave'
  return {
    kind: kinds.session,
    name: nameOf(life.sessionId),
    // What goes takes it along.
    mayMake: !going,
    content: {
      labels: labelsOf(life.sessionId, agentId),
      owner: anchor.seen.uid,
      spec: specOf(life, record, going),
      status: statusOf(life, record, going, before, now),
    },
  }
}

export const resourcesOf = ({ spec: { resources } }: Desired) => ({
  cpuMillis: resources.cpuMillis,
  memoryMib: resources.memoryMib,
})

const specOf = ({ sessionId }: About, { desired, generation }: SessionRecord, going: boolean) => ({
  id: sessionId,
  name: desired.name,
  org: desired.orgId,
  user: desired.userId,
  template: { name: desired.template.name, version: desired.template.version },
  desiredState: going ? 'deleted' : desired.state,
  generation,
  persistentHome: desired.persistentHome,
  resources: resourcesOf(desired),
})

const LONGEST_MESSAGE = 4_096

const statusOf = (
  { observed }: About,
  record: SessionRecord,
  going: boolean,
  before: Content | null,
  now: () => Date,
) => {
  const { settled, desired, restarts } = record
  const said = databaseStatus({ desiredState: desired.state, settled, going, observed })
  const ready = said.status === 'running'
  const observedGeneration = generationOf(record)
  const { node, podName, image, imageDigest, exitCode, exitSignal } = observed
  return given({
    status: said.status,
    reason: said.reason,
    message: said.message?.slice(0, LONGEST_MESSAGE),
    ready,
    endpoint: ready && observed.endpoint ? withoutToken(observed.endpoint) : null,
    node,
    podName,
    image,
    imageDigest,
    restarts,
    exitCode,
    exitSignal,
    observedGeneration,
    conditions: [readiness(ready, said.status, observedGeneration, before, now)],
  })
}

/** As the conditions of Kubernetes' own kinds are, so that `kubectl wait --for=condition=Ready` works. */
const readiness = (
  ready: boolean,
  status: string,
  observedGeneration: number,
  before: Content | null,
  now: () => Date,
) => {
  const wanted = ready ? 'True' : 'False'
  const last = (
    before?.status.conditions as readonly { status?: string; lastTransitionTime?: string }[] | undefined
  )?.[0]
  const kept = last?.status === wanted ? last.lastTransitionTime : undefined
  return {
    type: 'Ready',
    status: wanted,
    reason: status.charAt(0).toUpperCase() + status.slice(1),
    observedGeneration,
    lastTransitionTime:
      kept ??
      now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z'),
  }
}

export const withoutToken = ({ url, host, port, protocol }: WireEndpoint) =>
  given({ url: plainUrl(url), host, port, protocol })

/** null: not a URL, so nobody knows what is in it. */
const plainUrl = (text: string): string | null => {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  url.username = ''
  url.password = ''
  url.search = ''
  url.hash = ''
  return url.href
}

const given = (fields: { readonly [name: string]: unknown }) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined))
