/**
 * Whether anything waits longer than it may, or without saying why: pure, looked at about every second while
 * everything goes wrong (invariant 6). What is said of a row counts only when those who have to act on it were left
 * in peace for long enough: nobody acts on a deadline while there is no database.
 */
import type { Finding } from './check.ts'

export type WaitingRow = {
  readonly id: string
  readonly status: string
  readonly reason: string | null
  /** By the database's clock, at the moment of the reading; null where the row says nothing. */
  readonly waitingForMs: number | null
  readonly overdueMs: number | null
  readonly generation: number
  /** The only agent that it can be given to, if it cannot be any. */
  readonly onlyOn: string | null
}

/** For how long nothing has been done to them, in milliseconds; 0 while something is being done. */
export type Calm = {
  /** The database, and one server at least. */
  readonly service: number
  /** Agents with their connection and its server, by id. */
  readonly agents: ReadonlyMap<string, number>
}

/** The job acts within 5 s of a deadline; the rest is for a machine with more to do than it can. */
const ACTS_WITHIN_MS = 5_000
/** A session is placed within 2 s of an agent that can take it, which a server learns from its heartbeat. */
const PLACED_WITHIN_MS = 3_000
export const SLACK_MS = 5_000

export const waitsTooLong = (rows: readonly WaitingRow[], calm: Calm): readonly Finding[] =>
  rows.flatMap((row): readonly Finding[] => {
    const stuck = (what: string): Finding => ({
      kind: 'stuck',
      session: row.id,
      what: `${row.status} (${row.reason}) at ${row.generation}: ${what}`,
    })
    const missing = unsaid(row)
    if (missing.length > 0) return [stuck(`without ${missing.join(' and ')}`)]
    const findings: Finding[] = []
    if (Math.min(row.overdueMs ?? 0, calm.service) > ACTS_WITHIN_MS + SLACK_MS)
      findings.push(stuck('its deadline passed and nobody acted on it'))
    if (
      row.status === 'pending' &&
      Math.min(row.waitingForMs ?? 0, placeableFor(row, calm)) > PLACED_WITHIN_MS + SLACK_MS
    )
      findings.push(stuck('an agent could take it and was not given it'))
    return findings
  })

const unsaid = ({ reason, waitingForMs, overdueMs }: WaitingRow): readonly string[] => [
  ...(waitingForMs === null ? ['a time since when it waits'] : []),
  ...(overdueMs === null ? ['a deadline'] : []),
  ...(reason === null ? ['a reason'] : []),
]

const placeableFor = ({ onlyOn }: WaitingRow, { service, agents }: Calm): number => {
  const candidates = onlyOn === null ? [...agents.values()] : [agents.get(onlyOn) ?? 0]
  return Math.min(service, Math.max(0, ...candidates))
}
