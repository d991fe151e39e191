/** Sessions, their events and their commands as people read them. */
import type { Command } from '../api/command.ts'
import type { SessionEvent } from '../api/event.ts'
import type { Session } from '../api/session.ts'
import { age, timeWithAge } from './age.ts'
import { type Paint, statusColour } from './colour.ts'
import { type Column, type Field, renderFields } from './table.ts'
import { harmless } from './text-width.ts'

/** `starting: waiting for port 8080`, or what of it there is. */
export const reasonOf = ({
  statusReason,
  statusMessage,
}: Pick<Session, 'statusReason' | 'statusMessage'>): string | null =>
  [statusReason, statusMessage].filter((part) => part !== null && part !== '').join(': ') || null

/** How its process ended, if it did. */
export const exitOf = ({ exitCode, exitSignal }: Pick<Session, 'exitCode' | 'exitSignal'>): string | null =>
  exitSignal !== null ? `killed by ${exitSignal}` : exitCode !== null ? `exit code ${exitCode}` : null

export const sessionColumns = (now: number): readonly Column<Session>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name, shrinks: true },
  { title: 'STATUS', cell: ({ status }) => status, colour: ({ status }) => statusColour(status) },
  { title: 'REASON', cell: ({ statusReason }) => statusReason, shrinks: true },
  { title: 'TEMPLATE', cell: ({ template }) => template.name, shrinks: true },
  { title: 'AGENT', cell: agentOf, shrinks: true },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
]

const agentOf = ({ agentId, agentReachable }: Session): string | null =>
  agentId === null || agentReachable ? agentId : `${agentId} (unreachable)`

const wantedOf = ({ desiredState, status }: Session): string | null => {
  if (desiredState === status || (desiredState === 'deleted' && status === 'deleting')) return null
  return desiredState
}

export const pairs = (map: { readonly [name: string]: unknown }): string =>
  Object.entries(map)
    .map(([name, value]) => `${name}=${plainly(value)}`)
    .join('  ')

/** Secrets come as null. */
const plainly = (value: unknown): string =>
  value === null ? '***' : typeof value === 'string' ? value : JSON.stringify(value)

const inSeconds = (value: number | null): string | null => (value === null ? null : `${value} s`)

const portsOf = ({ endpoint }: Session): readonly Field[] =>
  endpoint === null || endpoint.ports.length < 2 ? [] : endpoint.ports.map(({ name, url }) => [`  ${name}`, url])

/** Everything there is to know of one session, what matters most first. */
export const sessionBlock = (session: Session, now: number, paint: Paint): string => {
  const fields: readonly Field[] = [
    ['id', session.id],
    ['name', session.name],
    ['status', session.status, statusColour(session.status)],
    ['asked', wantedOf(session)],
    ['reason', reasonOf(session)],
    ['url', session.endpoint?.url],
    ...portsOf(session),
    ['exit', exitOf(session)],
    ['waiting', session.waitingSince === null ? null : `since ${timeWithAge(session.waitingSince, now)}`],
    ['deadline', timeWithAge(session.deadline, now)],
    ['template', `${session.template.name} version ${session.template.version}`],
    ['parameters', pairs(session.parameters)],
    ['env', pairs(session.env)],
    ['labels', pairs(session.labels)],
    ['agent', agentOf(session)],
    ['platform', [session.platform, session.region].filter((part) => part !== null).join(', ')],
    ['resources', `${session.resources.cpuMillis} mCPU, ${session.resources.memoryMib} MiB`],
    ['home', session.persistentHome ? 'kept until it is deleted' : 'not kept'],
    ['idle timeout', inSeconds(session.idleTimeoutSeconds)],
    ['max duration', inSeconds(session.maxDurationSeconds)],
    ['restarts', session.restarts === 0 ? null : String(session.restarts)],
    ['user', session.userId],
    ['created', timeWithAge(session.createdAt, now)],
    ['started', timeWithAge(session.startedAt, now)],
    ['last activity', timeWithAge(session.lastActivityAt, now)],
    ['container', session.containerId],
    ['image', [session.image, session.imageDigest].filter((part) => part !== null).join(' ')],
    ['pod', [session.namespace, session.podName].filter((part) => part !== null).join('/')],
    ['node', session.node],
    ['generation', `${session.generation}, observed ${session.observedGeneration}`],
  ]
  return [renderFields(fields, paint), ...outputLines(session)].join('\n')
}

/** The end of what it wrote, each line marked as not ours. */
export const outputLines = ({ lastOutput }: Pick<Session, 'lastOutput'>): readonly string[] =>
  lastOutput === null || lastOutput.trim() === ''
    ? []
    : [
        'last output',
        ...harmless(lastOutput)
          .trimEnd()
          .split('\n')
          .map((line) => `  | ${line}`),
      ]

/** What became of an intent, in one line. */
export const sessionLine = (session: Session): string => {
  const reason = reasonOf(session)
  const url = session.status === 'running' ? session.endpoint?.url : undefined
  return `session ${session.id} (${session.name}) is ${session.status}${reason === null ? '' : `, ${reason}`}${url === undefined ? '' : `, at ${url}`}`
}

export const eventColumns = (now: number): readonly Column<SessionEvent>[] => [
  { title: 'AT', cell: ({ at }) => at },
  { title: 'AGO', cell: ({ at }) => age(at, now) },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'GENERATION', cell: ({ generation }) => String(generation) },
  { title: 'ACTOR', cell: ({ actor }) => actor, shrinks: true },
  { title: 'DATA', cell: ({ data }) => pairs(data) || null, shrinks: true },
]

export const commandColumns = (now: number): readonly Column<Command>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'SESSION', cell: ({ sessionId }) => sessionId },
  { title: 'AGENT', cell: ({ agentId }) => agentId, shrinks: true },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'GENERATION', cell: ({ generation }) => String(generation) },
  { title: 'STATUS', cell: ({ status }) => status, colour: commandColour },
  { title: 'ATTEMPTS', cell: ({ attempts }) => String(attempts) },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
  { title: 'ERROR', cell: ({ lastError }) => lastError, shrinks: true },
]

const commandColour = ({ status }: Command) =>
  status === 'done' ? 'green' : status === 'pending' ? 'yellow' : status === 'superseded' ? 'gray' : 'red'
