/**
 * A pod is ready some moments before its Service leads to it. An agent in the cluster's network waits for that, so
 * that whoever reads `running` is answered; one outside of it finds out with its first few that it cannot, and waits no more.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { probeTcp } from '../runtime/probe.ts'

export type Reach = (address: string | null, port: number | undefined) => Promise<void>

const SILENT_MS = 2_000
/** kube-proxy says so while it knows no pod of the Service. */
const REFUSED = 'connection refused'
const REFUSED_MS = 5_000
const PAUSE_MS = 20
/**
 * Of the first try, each one after a silent one has twice as long. What is sent before the nodes know of a new Service leads nowhere, nobody
 * says so, and TCP itself tries again after one second, then two: a new connection finds out sooner.
 */
const FIRST_TRY_MS = 200
/**
 * So many different Services in a row that are silent, and the agent is outside. One may be silent for a reason of its own,
 * and must not have all others told of as running too soon.
 */
const SILENT_SERVICES = 3
/** After so long it is tried again: networks change. */
const FORGOTTEN_MS = 300_000

/** `probe` and `silentMs`: for tests. */
export const createReach = (probe = probeTcp, silentMs = SILENT_MS): Reach => {
  let unreachableUntil = 0
  const silent = new Set<string>()
  return async (address, port) => {
    if (!address || port === undefined || Date.now() < unreachableUntil) return
    const began = Date.now()
    let why = ''
    let tryMs = FIRST_TRY_MS
    for (;;) {
      const leftMs = began + (why === REFUSED ? REFUSED_MS : silentMs) - Date.now()
      if (leftMs <= 0) break
      const answer = await probe(address, port, Math.min(tryMs, leftMs))
      if (answer.kind === 'answered') {
        silent.clear()
        return
      }
      why = answer.why
      if (why !== REFUSED) tryMs *= 2
      await wait(PAUSE_MS)
    }
    // Who is refused is there: only silence says that nothing leads to it from here.
    if (why === REFUSED) silent.clear()
    else silent.add(address)
    if (silent.size < SILENT_SERVICES) return
    silent.clear()
    unreachableUntil = Date.now() + FORGOTTEN_MS
  }
}
