import type { Agent } from '../../domain/agent/agent.ts'
import { AGENT, ORG, T0 } from './a-session.ts'

/** A connected agent with room for ten small sessions, of which it has none. */
export const anAgent = (changes: Partial<Omit<Agent, 'id'>> & { readonly id?: string } = {}): Agent => ({
  orgId: ORG,
  platform: 'process',
  region: 'eu',
  labels: {},
  version: '2.0.0',
  status: 'online',
  statusReason: null,
  cordoned: false,
  draining: false,
  capacity: { maxSessions: 10, cpuMillis: 4_000, memoryMib: 8_192 },
  allocated: { sessions: 0, cpuMillis: 0, memoryMib: 0 },
  epoch: 1,
  replicaId: null,
  connectedAt: T0,
  disconnectedAt: null,
  lastHeartbeatAt: T0,
  revision: 1,
  ...changes,
  id: (changes.id ?? AGENT) as Agent['id'],
})

export const full = { allocated: { sessions: 10, cpuMillis: 0, memoryMib: 0 } } as const
