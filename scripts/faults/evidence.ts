/** Everything that is known of a session of which something is wrong: whoever reads it was not there. */
import type { Finding } from './check.ts'
import { type FactSources, readLedgers } from './facts.ts'

const SHOWN = 3
/** Of what was found while the run lasted: faults that ended longer ago than this are not told. */
const BEFORE_MS = 30_000

/** `toMs`: null while it lasts. Milliseconds since 1970. */
export type MadeFault = { readonly kind: string; readonly fromMs: number; toMs: number | null }

const EVENTS = 'SELECT at, type, generation, actor, data FROM session_events WHERE session_id = $1 ORDER BY id'
const COMMANDS = `
SELECT created_at, generation, type, agent_id, status, sent_at, acked_at, finished_at, attempts, last_error
  FROM outbox WHERE session_id = $1 ORDER BY id`

/** Of the first few sessions; one line a fact. Times in ledgers and restores are the machine's monotonic clock. */
export const evidenceOf = async (
  sources: FactSources,
  findings: readonly Finding[],
  journal: readonly MadeFault[],
): Promise<readonly string[]> => {
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
    for (const finding of findings) if (finding.session === session) lines.push(...seenOf(finding, journal))
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

const seenOf = ({ seen }: Finding, journal: readonly MadeFault[]): readonly string[] => {
  if (seen === undefined) return []
  const seconds = (ms: number): string => `${((ms - seen.atMs) / 1_000).toFixed(1)} s`
  return [
    `  seen at ${new Date(seen.atMs).toISOString()} ${JSON.stringify(seen.facts)}`,
    ...journal
      .filter(({ fromMs, toMs }) => fromMs <= seen.atMs && (toMs === null || toMs > seen.atMs - BEFORE_MS))
      .map(
        ({ kind, fromMs, toMs }) => `  fault ${kind} from ${seconds(fromMs)} to ${toMs === null ? '…' : seconds(toMs)}`,
      ),
  ]
}
