/** Whether commands leave a lane in order: on one connection no lower generation of a session after a higher one. */
import type { Finding } from './check.ts'

export type LaneOrder = {
  /** A command as it was seen on its way to the agent. */
  readonly command: (connection: object, session: string, generation: number) => void
  readonly findings: () => readonly Finding[]
}

/** As many of each kind of mistake as a person would look at. */
const MOST_KEPT = 1_000

export const createLaneOrder = (agentId: string): LaneOrder => {
  /** What a connection has carried ends with it. */
  const highest = new WeakMap<object, Map<string, number>>()
  const findings: Finding[] = []
  return {
    command: (connection, session, generation) => {
      const sent = highest.get(connection) ?? new Map<string, number>()
      highest.set(connection, sent)
      const before = sent.get(session) ?? 0
      if (generation >= before) sent.set(session, generation)
      else if (findings.length < MOST_KEPT)
        findings.push({
          kind: 'reordered',
          session,
          what: `the command of ${generation} was sent to ${agentId} after that of ${before}, on one connection`,
        })
    },
    findings: () => findings,
  }
}
