import {
  type AgentEvent as AgentEventView,
  agentEventTypes,
  type InstallationOrphanRemoval as InstallationOrphanRemovalView,
  type OrgOrphanRemoval as OrgOrphanRemovalView,
  type Orphan as OrphanView,
  orphanReasons,
  orphanStates,
} from '../../domain/agent/orphan.ts'
import * as c from '../../domain/codec/codec.ts'
import { byFirstSight } from '../../domain/ports/page.ts'
import { observedStatuses } from '../../domain/session/words.ts'
import { revision, sessionId, time, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting } from './query.ts'

/** What an agent has that is no session of its own here. */
export const orphanCodec = represents<OrphanView>()(
  c.openObject({
    sessionId: c.described(c.string(), { format: 'uuid' }),
    agentId: c.string(),
    generation: c.described(c.integer(), 'as the agent has it'),
    status: wordOf(observedStatuses, 'what the agent says of it'),
    reason: wordOf(orphanReasons, '`unknown` to the database, or `not_yours`: a session of another agent'),
    state: wordOf(orphanStates, 'how far its removal is'),
    firstSeenAt: time,
    lastSeenAt: time,
    approvedAt: c.nullable(time),
    approvedBy: c.nullable(c.string()),
    commandId: c.described(c.nullable(c.string()), 'the newest command that removes it'),
    removalBegunAt: c.nullable(time),
    endedAt: c.described(
      c.nullable(time),
      'since when it is removed, gone, or a session of this agent (`known`, `adopted`)',
    ),
  }),
)
export type Orphan = c.TypeOf<typeof orphanCodec>

export const orphanPageCodec = pageOf(orphanCodec)

export const listOrphansQuery = query({
  state: commaList(c.oneOf(orphanStates), 'left out: those that are there now'),
  ...sorting(byFirstSight),
  ...paging,
})

export const MOST_APPROVED_BY_NAME = 1_000

export const approveOrphansCodec = c.object(
  {},
  {
    sessionIds: c.described(
      c.array(sessionId, { minItems: 1, maxItems: MOST_APPROVED_BY_NAME }),
      'left out: all that are there now',
    ),
  },
)

export const approvedCodec = c.openObject({ approved: c.described(c.integer(), 'how many are removed from now on') })

/** Something that happened to an agent beside its sessions. */
export const agentEventCodec = represents<AgentEventView>()(
  c.openObject({
    id: c.integer(),
    agentId: c.string(),
    type: wordOf(agentEventTypes, 'what happened'),
    at: time,
    actor: c.described(c.string(), '`user:<id>`, `agent:<id>`, or `reconciler`'),
    data: c.anyObject,
  }),
)
export type AgentEvent = c.TypeOf<typeof agentEventCodec>

export const agentEventPageCodec = pageOf(agentEventCodec)

const removalFields = {
  haltedAt: c.nullable(time),
  haltedBy: c.described(c.nullable(c.string()), 'the agent that was ahead of the database, or who asked for it'),
  haltedReason: c.nullable(c.string()),
  resumedAt: c.nullable(time),
  resumedBy: c.nullable(c.string()),
  revision,
}

const haltedOrgCodec = c.openObject({
  orgId: c.string(),
  haltedAt: time,
  haltedBy: c.string(),
  haltedReason: c.string(),
})

/** Whether orphans are removed at all. */
export const orphanRemovalCodec = represents<InstallationOrphanRemovalView>()(
  c.openObject({
    halted: c.described(c.boolean, 'no orphan is removed anywhere that was not approved'),
    ...removalFields,
    haltedOrgs: c.described(c.integer(), 'orgs of whose own agents none is removed, beside that'),
    orgs: c.described(c.array(haltedOrgCodec), 'those orgs, the first 100, longest halted first'),
  }),
)
export type OrphanRemoval = c.TypeOf<typeof orphanRemovalCodec>

/** Whether those of an org's own agents are. */
export const orgOrphanRemovalCodec = represents<OrgOrphanRemovalView>()(
  c.openObject({
    orgId: c.string(),
    halted: c.described(c.boolean, 'no orphan of the org’s own agents is removed that was not approved'),
    ...removalFields,
  }),
)
export type OrgOrphanRemoval = c.TypeOf<typeof orgOrphanRemovalCodec>
