import type { Agent, RemovedAgent } from '../api/agent.ts'
import { age, timeWithAge } from './age.ts'
import type { Colour, Paint } from './colour.ts'
import { type Column, renderFields } from './table.ts'

export const agentColour = (status: Agent['status']): Colour =>
  status === 'online' ? 'green' : status === 'degraded' ? 'yellow' : 'red'

export const agentColumns = (now: number): readonly Column<Agent>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'STATUS', cell: ({ status }) => status, colour: ({ status }) => agentColour(status) },
  { title: 'PLATFORM', cell: ({ platform }) => platform },
  { title: 'REGION', cell: ({ region }) => region, shrinks: true },
  { title: 'SESSIONS', cell: ({ allocated, capacity }) => share(allocated.sessions, capacity?.maxSessions) },
  { title: 'CPU', cell: ({ allocated, capacity }) => share(allocated.cpuMillis, capacity?.cpuMillis) },
  { title: 'MEMORY MIB', cell: ({ allocated, capacity }) => share(allocated.memoryMib, capacity?.memoryMib) },
  { title: 'HEARTBEAT', cell: ({ lastHeartbeatAt }) => age(lastHeartbeatAt, now) },
  {
    title: 'REASON',
    cell: ({ cordoned, draining, statusReason }) =>
      [...(draining ? ['draining'] : cordoned ? ['cordoned'] : []), statusReason ?? ''].join(' ').trim(),
    shrinks: true,
  },
]

/** `3/10`; what an agent has is not known before it has connected once. */
const share = (taken: number, of: number | undefined): string => `${taken}/${of ?? '?'}`

export const agentBlock = (agent: Agent, now: number, paint: Paint): string => {
  const { capacity, allocated } = agent
  return renderFields(
    [
      ['id', agent.id],
      ['status', agent.status, agentColour(agent.status)],
      ['reason', agent.statusReason],
      ['cordoned', agent.draining ? 'yes: it is being drained' : agent.cordoned ? 'yes: takes no new sessions' : null],
      ['platform', agent.platform],
      ['region', agent.region],
      ['owner', agent.orgId ?? 'shared by all orgs'],
      [
        'labels',
        Object.entries(agent.labels)
          .map((entry) => entry.join('='))
          .join('  '),
      ],
      ['sessions', `${allocated.sessions} of ${capacity?.maxSessions ?? 'unknown'}`],
      ['cpu', `${allocated.cpuMillis} of ${capacity?.cpuMillis ?? 'unknown'} mCPU`],
      ['memory', `${allocated.memoryMib} of ${capacity?.memoryMib ?? 'unknown'} MiB`],
      ['version', agent.version],
      ['epoch', String(agent.epoch)],
      ['replica', agent.replicaId],
      ['connected', timeWithAge(agent.connectedAt, now)],
      ['disconnected', timeWithAge(agent.disconnectedAt, now)],
      ['last heartbeat', timeWithAge(agent.lastHeartbeatAt, now)],
    ],
    paint,
  )
}

/** What is lost is named, as far as the answer names it. */
export const removedBlock = (id: string, lost: RemovedAgent | null): string => {
  if (lost === null || lost.count === 0) return `agent ${id} is removed`
  const more = lost.count - lost.sessions.length
  return [
    `agent ${id} is removed, and with it what it had of ${lost.count === 1 ? '1 session' : `${lost.count} sessions`}, which are failed:`,
    ...lost.sessions.map((session) => `  ${session.id}  ${session.orgId}  ${session.name}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    'whatever of them still runs there nobody watches any more: end it on that machine',
  ].join('\n')
}
