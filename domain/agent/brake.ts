/**
 * The brake: how many orphans may be removed without a person who has said so. A mistake (a database that was
 * restored, a token given to the wrong agent) makes many resources look like orphans at once; this bounds what
 * it can destroy. All or nothing: more than is allowed means that something is wrong, and then nothing is
 * removed at all.
 */

export type BrakeFigures = {
  /** Orphans that are due and were not counted in the last 24 h yet. */
  readonly asked: number
  readonly agent: {
    /** What it has of sessions, orphans too, and what was removed from it in the last 24 h. */
    readonly resources: number
    readonly removed: number
  }
  /** Of the agents that share a limit: an org's own, or all that are shared. No org uses up another's, nor the installation's. */
  readonly together: {
    readonly of: 'org' | 'shared'
    /** Sessions that agents have of their own: an agent that lies of orphans raises nobody's limit by it. */
    readonly resources: number
    readonly removed: number
  }
  /** Why nothing may be removed from it, whatever the figures, or null. */
  readonly halted: string | null
}

export type Verdict = { readonly kind: 'allowed' } | { readonly kind: 'held'; readonly reason: string }

export type Brake = (figures: BrakeFigures) => Verdict

/** At most 10, or 5 % where that is more, and never more than half of what the agent has. */
export const agentLimit = (resources: number): number =>
  Math.min(Math.max(10, Math.floor(resources / 20)), Math.floor(resources / 2))

/** At most 50, or 1 % where that is more. */
export const limitTogether = (resources: number): number => Math.max(50, Math.floor(resources / 100))

export const brake: Brake = ({ asked, agent, together, halted }) => {
  if (halted !== null) return { kind: 'held', reason: halted }
  if (asked === 0) return { kind: 'allowed' }
  const limit = agentLimit(agent.resources)
  if (agent.removed + asked > limit)
    return held(
      asked,
      `at most ${limit} of the ${agent.resources} that it has may be in 24 h, of which ${agent.removed} were`,
    )
  if (together.removed + asked > limitTogether(together.resources))
    return held(asked, `more than may be in 24 h over all ${sharers[together.of]}, with what was`)
  return { kind: 'allowed' }
}

const sharers = { org: 'own agents of the org', shared: 'shared agents' } as const

const held = (asked: number, limit: string): Verdict => ({
  kind: 'held',
  reason: `${asked} to remove, and ${limit}: nothing is removed until an operator approves`,
})
