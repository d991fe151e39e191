/** Orphans in the store, handled as the use case does. */
import { brake } from '../../domain/agent/brake.ts'
import { presentStates } from '../../domain/agent/orphan.ts'
import type { CommandId, OrgId, SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { FoundOrphan } from '../../domain/ports/orphans.ts'
import { ACME, ids, type Stores } from './rows.ts'

export const someOrphans = (count: number, generation = 3): readonly FoundOrphan[] =>
  Array.from({ length: count }, () => ({
    entry: { sessionId: ids.session(), generation, status: 'running' },
    reason: 'unknown',
  }))
export const idsOf = (found: readonly FoundOrphan[]) => found.map(({ entry }) => entry.sessionId).toSorted()
export const everything = { limit: 500, cursor: null }

export const orphansOf = (stores: Stores) => {
  const record = (
    peer: Peer,
    found: readonly FoundOrphan[],
    more: { sessions?: number; graceMs?: number; spokenSince?: readonly SessionId[] } = {},
  ) =>
    stores.orphans.record(peer, {
      found,
      sessions: more.sessions ?? 0,
      graceMs: more.graceMs ?? 0,
      spokenSince: new Set(more.spokenSince ?? []),
    })
  /** One inventory as the use case has it: recorded, and what is due removed if the brake allows. */
  const inventory = async (peer: Peer, found: readonly FoundOrphan[], sessions = 0, graceMs = 0) => {
    const recorded = await record(peer, found, { sessions, graceMs })
    if (recorded.kind === 'fenced') return recorded
    const commands = Array.from({ length: recorded.due }, () => ids.command())
    const resources = sessions + found.length
    return stores.orphans.remove(peer, { at: recorded.at, resources, graceMs }, commands, brake)
  }
  const listed = async (peer: Peer, orgId: OrgId | null = ACME, states: readonly string[] = presentStates) =>
    (await stores.orphans.list({ id: peer.agentId, orgId }, states as never, everything)).items
  const eventsOf = async (peer: Peer, orgId: OrgId | null = ACME) =>
    (await stores.orphans.events({ id: peer.agentId, orgId }, everything)).items.map(({ type }) => type)
  const applied = (peer: Peer, commandId: CommandId) =>
    stores.orphans.settle([{ peer, commandId, fate: { status: 'done', error: null } }])

  return { record, inventory, listed, eventsOf, applied }
}
