/** `npm run faults -- …`: what a run is told. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type FaultKind, faultKinds } from './deck.ts'
import { type Intervals, intervalsNamed } from './intervals.ts'

/** All that is needed to have the same schedule again; what a kept seed holds. */
export type RunOptions = {
  readonly seed: number
  readonly minutes: number
  readonly intervals: Intervals['name']
  readonly replicas: number
  readonly agents: number
  readonly clients: number
  readonly kinds: readonly FaultKind[]
  readonly paceMs: number
  readonly faultsFromMs: number
  readonly faultsToMs: number
}

export type Asked = {
  readonly run: RunOptions
  /** Where a failing seed is kept, or null. */
  readonly keepIn: string | null
  readonly findings: boolean
}

export const usage = `npm run faults -- [--seed N] [--minutes M] [options]

  --seed N          fixes the schedule of commands and faults (default: drawn)
  --minutes M       how long faults are made (default 1; fractions allowed)
  --replay FILE     a kept seed, with all of its options
  --intervals NAME  short (default), patient: the same with long deadlines, or default: those of the product
  --replicas N      server processes (default 3)
  --agents N        agent processes (default 3)
  --clients N       clients that call at the same time (default 6)
  --pace MS         the longest pause of a client between two calls (default 150)
  --fault-pace A-B  milliseconds between two faults (default 500-1500)
  --kinds A,B       only these faults: ${faultKinds.join(', ')}
  --keep DIR        where the seed of a failing run is written (default test/faults/seeds; none: nowhere)

Prints one line; what was wrong goes to stderr. Exit status: 0 nothing, 1 something, 2 a wrong option.`

export class WrongOption extends Error {}

const numberOf = (name: string, text: string | undefined, fallback: number, least: number, most: number): number => {
  const value = text === undefined ? fallback : Number(text)
  if (Number.isFinite(value) && value >= least && value <= most) return value
  throw new WrongOption(`--${name} must be a number from ${least} to ${most}`)
}

const kindsOf = (text: string | undefined): readonly FaultKind[] => {
  if (text === undefined) return faultKinds
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => !(faultKinds as readonly string[]).includes(name))
  if (unknown.length > 0) throw new WrongOption(`no such fault: ${unknown.join(', ')}`)
  return names as FaultKind[]
}

export const readOptions = (args: readonly string[], drawn: number): Asked | 'help' => {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: text,
      minutes: text,
      replay: text,
      intervals: text,
      replicas: text,
      agents: text,
      clients: text,
      pace: text,
      'fault-pace': text,
      kinds: text,
      keep: text,
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const keepIn = values.keep === 'none' ? null : (values.keep ?? 'test/faults/seeds')
  if (values.replay !== undefined) {
    const kept = JSON.parse(readFileSync(values.replay, 'utf8')) as { readonly run: RunOptions }
    return { run: kept.run, keepIn: null, findings: true }
  }
  const intervals = values.intervals ?? 'short'
  if (!isNamed(intervals)) throw new WrongOption(`--intervals must be one of ${Object.keys(intervalsNamed).join(', ')}`)
  const [from, to] = (values['fault-pace'] ?? '500-1500').split('-')
  return {
    run: {
      seed: numberOf('seed', values.seed, drawn, 0, 2 ** 32),
      minutes: numberOf('minutes', values.minutes, 1, 0.05, 24 * 60),
      intervals,
      replicas: numberOf('replicas', values.replicas, 3, 1, 9),
      agents: numberOf('agents', values.agents, 3, 1, 50),
      clients: numberOf('clients', values.clients, 6, 1, 200),
      paceMs: numberOf('pace', values.pace, 150, 1, 60_000),
      faultsFromMs: numberOf('fault-pace', from, 500, 1, 600_000),
      faultsToMs: numberOf('fault-pace', to, 1_500, 1, 600_000),
      kinds: kindsOf(values.kinds),
    },
    keepIn,
    findings: true,
  }
}

const isNamed = (name: string): name is Intervals['name'] => Object.hasOwn(intervalsNamed, name)
