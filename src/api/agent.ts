import type { Agent as AgentView } from '../../domain/agent/agent.ts'
import * as c from '../../domain/codec/codec.ts'
import { type AgentId, DNS_LABEL, DNS_LABEL_IN_WORDS } from '../../domain/ids.ts'
import { drainReasons, drainStates } from '../../domain/placement/outlook.ts'
import { type LostSessions, MOST_LOST_NAMED } from '../../domain/ports/agents.ts'
import { byId } from '../../domain/ports/page.ts'
import { sessionStatuses } from '../../domain/session/words.ts'
import { agentId, labels, orgId, revision, time, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, flag, paging, query, sorting, text } from './query.ts'

const agentStatuses = ['online', 'degraded', 'offline'] as const satisfies readonly AgentView['status'][]

const agentFields = {
  id: c.string(),
  orgId: c.described(c.nullable(c.string()), 'null: shared by all orgs'),
  platform: c.string(),
  region: c.nullable(c.string()),
  labels: c.record(c.string()),
  version: c.nullable(c.string()),
  status: c.oneOf(agentStatuses),
  statusReason: c.nullable(c.string()),
  cordoned: c.described(c.boolean, 'takes no new sessions'),
  draining: c.described(c.boolean, 'to be empty: its sessions are moved, as far as they can be'),
  capacity: c.described(
    c.nullable(c.openObject({ cpuMillis: c.integer(), memoryMib: c.integer(), maxSessions: c.integer() })),
    'null until it has connected once',
  ),
  allocated: c.openObject({ cpuMillis: c.integer(), memoryMib: c.integer(), sessions: c.integer() }),
  epoch: c.integer(),
  replicaId: c.nullable(c.string()),
  connectedAt: c.nullable(time),
  disconnectedAt: c.nullable(time),
  lastHeartbeatAt: c.nullable(time),
  revision,
} as const

export const agentCodec = represents<AgentView>()(c.openObject(agentFields))
export type Agent = c.TypeOf<typeof agentCodec>

/** Field by field: what else a store keeps of an agent, its token's hash above all, never leaves. */
export const agentRepresentation = (agent: AgentView): AgentView => ({
  id: agent.id,
  orgId: agent.orgId,
  platform: agent.platform,
  region: agent.region,
  labels: agent.labels,
  version: agent.version,
  status: agent.status,
  statusReason: agent.statusReason,
  cordoned: agent.cordoned,
  draining: agent.draining,
  capacity: agent.capacity,
  allocated: agent.allocated,
  epoch: agent.epoch,
  replicaId: agent.replicaId,
  connectedAt: agent.connectedAt,
  disconnectedAt: agent.disconnectedAt,
  lastHeartbeatAt: agent.lastHeartbeatAt,
  revision: agent.revision,
})

export const agentPageCodec = pageOf(agentCodec)

/** An agent with the token that is shown this once. */
export const agentWithTokenCodec = represents<AgentView & { readonly token: string }>()(
  c.openObject({ ...agentFields, token: c.described(c.string(), '`ssa_…`, shown this once') }),
)
export type AgentWithToken = c.TypeOf<typeof agentWithTokenCodec>

export const enrolAgentCodec = c.object(
  { id: agentId, platform: c.string({ pattern: DNS_LABEL, means: DNS_LABEL_IN_WORDS }) },
  {
    orgId: c.described(c.nullable(orgId), 'left out: your own; null: shared by all (installation keys only)'),
    region: c.nullable(c.string({ minLength: 1, maxLength: 100 })),
    labels,
  },
)
export type EnrolAgentRequest = c.TypeOf<typeof enrolAgentCodec>

export const listAgentsQuery = query({
  platform: commaList(text(63)),
  region: commaList(text(100)),
  status: commaList(c.oneOf(agentStatuses)),
  ...sorting(byId),
  ...paging,
})

export const removeAgentQuery = query({
  force: c.described(flag, 'also while it has sessions: those that are lost are in the answer'),
})

/** What was lost with an agent that was removed by force. */
type Shown = Pick<LostSessions, 'count' | 'sessions'>

export const removedAgentCodec = represents<Shown & { readonly agentId: string }>()(
  c.openObject({
    agentId: c.string(),
    count: c.described(c.integer(), 'how many sessions it had that nobody was deleting'),
    sessions: c.described(
      c.array(c.openObject({ id: c.described(c.string(), { format: 'uuid' }), name: c.string(), orgId: c.string() })),
      `the first ${MOST_LOST_NAMED} of them`,
    ),
  }),
)
export type RemovedAgent = c.TypeOf<typeof removedAgentCodec>

export const removedAgentRepresentation = (
  agentId: AgentId,
  { count, sessions }: Shown,
): Shown & { readonly agentId: AgentId } => ({ agentId, count, sessions })

const drainedSession = c.openObject({
  id: c.described(c.string(), { format: 'uuid' }),
  name: c.string(),
  orgId: c.string(),
  userId: c.string(),
  status: c.oneOf(sessionStatuses),
  state: c.described(
    c.oneOf(drainStates),
    '`moving`: put to rest, then started elsewhere; `waiting`: moves when what it waits for is over; `staying`: cannot be moved; `at_rest`: nothing of it is here',
  ),
  reason: wordOf(drainReasons, 'why'),
  message: c.described(c.string(), 'the same for people'),
})

/** `GET /agents/{id}/drain`: how far it is, and a page of the sessions that are the agent's. */
export const agentDrainCodec = c.openObject({
  agentId: c.string(),
  draining: c.boolean,
  startedAt: c.nullable(time),
  startedBy: c.nullable(c.string()),
  remaining: c.described(
    c.integer(),
    'sessions of which something may run there, or that have left it and are not started elsewhere yet',
  ),
  moving: c.described(c.integer(), 'of those: put to rest, to be started elsewhere'),
  movable: c.described(
    c.integer(),
    'of those: moved when there is room elsewhere and they run; 0 and 0 moving: all is done that can be',
  ),
  items: c.array(drainedSession),
  nextCursor: c.nullable(c.string()),
})
export type AgentDrain = c.TypeOf<typeof agentDrainCodec>
