/** Everything that is known of a session of which something is wrong: whoever reads it was not there. */
import type { Finding } from './check.ts'
import { type FactSources, readLedgers } from './facts.ts'

const SHOWN = 3

const EVENTS = 'SELECT at, type, generation, actor, data FROM session_events WHERE session_id = $1 ORDER BY id'
const COMMANDS = `
SELECT created_at, generation, type, agent_id, status, sent_at, acked_at, finished_at, attempts, last_error
  FROM outbox WHERE session_id = $1 ORDER BY id`

/** Of the first few sessions; one line a fact. Times in ledgers and restores are the machine's monotonic clock. */
export const evidenceOf = async (sources: FactSources, findings: readonly Finding[]): Promise<readonly string[]> => {
  const sessions = [...new Set(findings.map(({ session }) => session))].filter((id) => id !== null).slice(0, SHOWN)
  if (sessions.length === 0) return []
  const { database, restores, promises } = sources
  const { effects, nothing } = await readLedgers(sources.agents)
  const lines: string[] = []
  for (const session of sessions) {
    const tell = (what: string, all: readonly unknown[]) => {
      for (const one of all) lines.push(`  ${what} ${JSON.stringify(one)}`)
    }
    lines.push(`what is known of ${session}:`)
    tell(
      'promised',
      [...promises()].filter(({ id }) => id === session),
    )
    tell('event', await database.query(EVENTS, [session]))
    tell('command', await database.query(COMMANDS, [session]))
    tell('effect', effects.get(session) ?? [])
    if (nothing.has(session)) tell('nothing to end', [nothing.get(session)])
    tell(
      'restore',
      restores.map(({ at, resumedAt, touched, running }) => ({
        at,
        resumedAt,
        touched: touched.has(session),
        ran: running.has(session),
      })),
    )
  }
  return lines
}
