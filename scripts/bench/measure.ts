/** What a measure is, and what it answers: lines for the table, each with the bar that it is held against. */
import type { Bench } from './bench.ts'

export type Unit = 'ms' | 's' | '/s' | '%' | '×' | 'MiB' | 'KiB' | 'buffers' | 'calls'

export type Bar = { readonly atMost: number } | { readonly atLeast: number }

export type Line = {
  readonly what: string
  readonly figure: number
  readonly unit: Unit
  /** null: shown beside the others, held against nothing. */
  readonly bar: Bar | null
  readonly note?: string
}

export type Measured = {
  readonly lines: readonly Line[]
  /** What the lines were made from, for the JSON: rounds, counts, distributions. */
  readonly details: { readonly [name: string]: unknown }
  /** Of the PostgreSQL that it ran on, if it was this program's. */
  readonly postgres?: { readonly [name: string]: string }
  /** What makes the figures doubtful: requests that failed, commands that never arrived. Empty when all is well. */
  readonly doubts: readonly string[]
}

export type Measure = {
  readonly name: string
  readonly about: string
  /** Names under which several are chosen together. */
  readonly groups?: readonly string[]
  readonly run: (bench: Bench) => Promise<Measured>
}

/** What a measure needs is not on this machine: said in one line, and no failure. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

export type Verdict = 'met' | 'missed' | null

export const verdictOf = ({ figure, bar }: Line): Verdict => {
  if (bar === null) return null
  return ('atMost' in bar ? figure <= bar.atMost : figure >= bar.atLeast) ? 'met' : 'missed'
}
