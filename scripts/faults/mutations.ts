/**
 * Guards of the product, each with the edit that switches it off in a copy of the tree, the faults that need it, and
 * the invariant that has to fail without it. A new guard is a new entry; an edit whose target is gone is an error.
 */
import type { Kind } from './check.ts'
import type { FaultKind } from './deck.ts'
import type { Intervals } from './intervals.ts'

export type Edit = { readonly file: string; readonly find: string; readonly replace: string }

export type Mutation = {
  readonly guard: string
  readonly edits: readonly Edit[]
  readonly kinds: readonly FaultKind[]
  readonly breaks: Kind
  /** The longest pause between two calls of a client, where the usual one lets too little meet. */
  readonly paceMs?: number
  /** Where a deadline would end what nobody delivers before it counts as stuck. */
  readonly intervals?: Intervals['name']
  /** How long faults are made, where the usual time is too short for what has to happen. */
  readonly minutes?: number
}

export const mutations: readonly Mutation[] = [
  {
    guard: 'the epoch in the statement that writes reports',
    edits: [
      {
        file: 'adapters/postgres/reports.ts',
        find: 'FROM input i JOIN lease USING (agent_id, epoch) JOIN locked USING (id)',
        replace: 'FROM input i JOIN lease USING (agent_id) JOIN locked USING (id)',
      },
    ],
    kinds: ['zombie server'],
    breaks: 'stale',
  },
  {
    guard: 'the generation check of the agent',
    edits: [
      {
        file: 'agents/runtime/judge-generation.ts',
        find: 'if (held !== null && generation === held.generation)',
        replace: 'if (false as boolean && held !== null)',
      },
    ],
    kinds: ['cut before result', 'cut after apply', 'agent killed'],
    breaks: 'doubled',
  },
  {
    guard: 'redelivery of what is not acked',
    edits: [
      {
        file: 'adapters/websocket/lane.ts',
        find: 'else unacked(flight, now)',
        replace: "else flights.move(flight, 'sent', NEVER)",
      },
    ],
    kinds: ['command lost'],
    breaks: 'stuck',
  },
  {
    guard: 'the sweep',
    edits: [
      {
        file: 'src/usecases/duties.ts',
        find: 'const over = await deps.duties.endBackOffs(ROWS_AT_ONCE)',
        replace: 'if (ROWS_AT_ONCE > 0) return {}\n    const over = await deps.duties.endBackOffs(ROWS_AT_ONCE)',
      },
    ],
    // A command that backs off has to stay its session's newest until the disk has room again: clients must be slow.
    kinds: ['disk full', 'wakes lost'],
    breaks: 'stuck',
    paceMs: 1_500,
    intervals: 'patient',
  },
  {
    guard: 'the inventory on connect',
    edits: [
      { file: 'agents/runtime/outflow.ts', find: 'requests = [null]\n', replace: 'requests = []\n' },
      // The server reminds an agent that has not sent one.
      {
        file: 'adapters/websocket/inventories.ts',
        find: 'if (!expected.isKnown() && now - since < inventoryRequestIntervalMs) return',
        replace: 'if (!expected.isKnown() && now >= since) return',
      },
    ],
    kinds: ['agent killed with news'],
    breaks: 'stale',
  },
  {
    guard: 'superseding older commands',
    edits: [
      {
        file: 'adapters/postgres/session-writer.ts',
        find: "outbox.status = 'pending' AND outbox.generation < $15",
        replace: "outbox.status = 'pending' AND outbox.generation < $15 - 1000000",
      },
    ],
    // Two intents on one session while its agent is away.
    kinds: ['agent away'],
    breaks: 'reordered',
    paceMs: 5,
  },
  {
    guard: 'the optimistic check of the revision',
    edits: [
      {
        file: 'adapters/postgres/session-writer.ts',
        find: 'WHERE id = $1 AND revision = $2 AND',
        replace: 'WHERE id = $1 AND $2::bigint IS NOT NULL AND',
      },
    ],
    kinds: ['clients delayed', 'delayed'],
    breaks: 'lost',
  },
  {
    guard: 'placing sessions that wait for an agent',
    edits: [
      {
        file: 'src/usecases/duties.ts',
        find: 'const pending = await deps.sessions.pending(ROWS_AT_ONCE)',
        replace: 'const pending = (await deps.sessions.pending(ROWS_AT_ONCE)).slice(ROWS_AT_ONCE)',
      },
    ],
    kinds: ['agent away'],
    breaks: 'stuck',
    intervals: 'patient',
  },
  {
    // Both halves of it: the limits, and the halt when an agent was welcomed by a newer state of the database.
    guard: 'the brake on removing orphans',
    edits: [
      {
        file: 'domain/agent/brake.ts',
        find: "if (halted !== null) return { kind: 'held', reason: halted }",
        replace: "if (asked >= 0) return { kind: 'allowed' }",
      },
    ],
    // Each restore leaves sessions that only agents know of, and has their inventories looked at twice.
    kinds: ['restored'],
    breaks: 'destroyed',
    minutes: 0.5,
  },
]
