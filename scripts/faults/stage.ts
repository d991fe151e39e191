/** What a fault works with: the scene, who is being struck already, and what it has to tell. */
import { setTimeout as wait } from 'node:timers/promises'
import type { FaultyAgent } from './agents.ts'
import type { Finding, Restore } from './check.ts'
import type { Clients } from './clients.ts'
import type { FaultKind } from './deck.ts'
import type { Intervals } from './intervals.ts'
import type { Random } from './random.ts'
import type { Scene } from './scene.ts'
import type { Replica } from './servers.ts'

export type Stage = Scene & {
  readonly clients: Clients
  readonly intervals: Intervals
  readonly restores: Restore[]
  /** How old the copy is that a restore puts back. */
  readonly copyAgeMs: number
  /** The fault has struck; `inFlight`: while a command or a call of a victim was under way. */
  readonly struck: (kind: FaultKind, inFlight: boolean) => void
  /** The fault has struck, and what it was made for did not come about: the end of the run judges what it did, it does not. */
  readonly unjudged: () => void
  /** What was seen to be wrong while the fault lasted, and may not be seen at the end any more. */
  readonly found: (findings: readonly Finding[]) => void
  readonly victims: Victims
  /** How long a fault lasts: when the time for faults is over it resolves at once, and the fault puts everything right. */
  readonly wait: (ms: number) => Promise<void>
}

/** At one time at most one fault of a process or a connection: two at once would hide each other. */
export type Victims = {
  readonly agent: (random: Random) => FaultyAgent | null
  readonly replica: (random: Random) => Replica | null
  readonly one: (name: 'postgres' | 'clients' | 'wakes') => boolean
  readonly claim: (name: string) => boolean
  readonly free: (name: string) => void
  /** For how long nobody has had it, in milliseconds. */
  readonly leftAloneFor: (name: string) => number
  /** Resolves when nothing is claimed any more, and then everything is. */
  readonly all: () => Promise<void>
  readonly freeAll: () => void
}

export const createVictims = (scene: Scene): Victims => {
  const taken = new Set<string>()
  const freed = new Map<string, number>()
  let allTaken = false
  let allFreed = performance.now()
  const claim = (name: string): boolean => {
    if (allTaken || taken.has(name)) return false
    taken.add(name)
    return true
  }
  const oneOf = <A>(from: readonly A[], nameOf: (one: A) => string, random: Random): A | null =>
    random.shuffled(from).find((one) => claim(nameOf(one))) ?? null
  return {
    agent: (random) => oneOf(scene.agents, ({ id }) => id, random),
    replica: (random) => oneOf(scene.replicas, ({ name }) => name, random),
    one: claim,
    claim,
    free: (name) => {
      taken.delete(name)
      freed.set(name, performance.now())
    },
    leftAloneFor: (name) =>
      allTaken || taken.has(name) ? 0 : performance.now() - Math.max(allFreed, freed.get(name) ?? 0),
    all: async () => {
      allTaken = true
      while (taken.size > 0) await wait(50)
    },
    freeAll: () => {
      allTaken = false
      allFreed = performance.now()
    },
  }
}

const BUSY_WITHIN_MS = 1_500

/** Waits a moment for something to be under way: a fault that finds nobody at work shows little. Answers whether it was. */
export const whenBusy = async (inFlight: () => number): Promise<boolean> => {
  for (const deadline = performance.now() + BUSY_WITHIN_MS; performance.now() < deadline; await wait(5))
    if (inFlight() > 0) return true
  return false
}

/** Commands of the agents that this replica speaks for. */
export const inFlightAt = ({ agents }: Scene, replica: Replica): number =>
  agents.filter((agent) => agent.speaksWith() === replica).reduce((sum, agent) => sum + agent.inFlight(), 0)

export const inFlightAnywhere = ({ agents, clients }: Stage): number =>
  agents.reduce((sum, agent) => sum + agent.inFlight(), clients.inFlight())
