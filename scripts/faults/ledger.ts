/**
 * The ledger of one agent: an append-only file, a line for each thing that happened on its platform. It is the
 * platform's own truth (what an agent reads at its start) and the harness's evidence (what it compares rows and
 * promises with).
 *
 * `at` is milliseconds of the machine's monotonic clock, the same for all processes of a machine and not
 * touched by a wrong wall clock: ledgers of different agents can be put in order by it.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { WireObserved } from '../../agents/protocol.ts'

export type LedgerState = 'running' | 'hibernated' | 'stopped' | 'deleted'

export type LedgerLine =
  /** The platform was changed. `left`: something of the session is left. */
  | {
      readonly what: 'effect'
      readonly at: number
      readonly session: string
      readonly generation: number
      readonly state: LedgerState
      readonly incarnation: number
      readonly epoch: number | null
      readonly left: boolean
      /** With a home that is kept, and that keeps the session on this agent. */
      readonly home: boolean
    }
  /** Asked to end what is not there: nothing was changed. */
  | { readonly what: 'nothing'; readonly at: number; readonly session: string; readonly generation: number }
  /** The session ended, or ran again, by itself. */
  | { readonly what: 'crashed' | 'revived'; readonly at: number; readonly session: string }
  | { readonly what: 'up'; readonly at: number; readonly pid: number }

export type HeldThere = {
  readonly generation: number
  readonly status: Exclude<WireObserved['status'], 'starting'>
  readonly home: boolean
}

export const ledgerNow = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** What is there after a line, given what was there before it. */
export const replay = (held: Map<string, HeldThere>, line: LedgerLine): void => {
  switch (line.what) {
    case 'effect':
      if (line.left && line.state !== 'deleted')
        held.set(line.session, { generation: line.generation, status: line.state, home: line.home })
      else held.delete(line.session)
      return
    case 'crashed':
    case 'revived': {
      const before = held.get(line.session)
      if (before !== undefined)
        held.set(line.session, { ...before, status: line.what === 'crashed' ? 'failed' : 'running' })
      return
    }
    case 'nothing':
    case 'up':
      return
  }
}

/** A last line that a kill cut short was never a fact. */
export const ledgerLines = async function* (path: string): AsyncGenerator<LedgerLine> {
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })
  for await (const text of lines) if (text.endsWith('}')) yield JSON.parse(text) as LedgerLine
}
