/**
 * What the cluster can hold for this agent: as set, else what the namespace's quota allows, else what a namespace
 * without a quota is given by default. Nodes are not asked: they are the cluster's, and others use them too.
 */
import type { V1ResourceQuota } from '@kubernetes/client-node'
import type { WireCapacity } from '../protocol.ts'
import type { Settings } from './settings.ts'

/** As in `deployment.ts`: an eighth of the CPU of a session is asked of the scheduler. */
const CPU_OVERCOMMIT = 8
const DEFAULT: WireCapacity = { maxSessions: 250, cpuMillis: 250_000, memoryMib: 262_144 }

const FACTORS: { readonly [suffix: string]: number } = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
}

/** A Kubernetes quantity such as `500m` or `2Gi` as a number; null: not one. */
export const quantity = (text: string | undefined): number | null => {
  const [, digits, suffix = ''] = /^(\d+(?:\.\d+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(text ?? '') ?? []
  return digits === undefined ? null : Number(digits) * (FACTORS[suffix] ?? 1)
}

/** Pods of sessions have no deadline of their own, and ask for CPU and memory. */
const SCOPES_OF_SESSIONS = new Set(['NotTerminating', 'NotBestEffort'])

/** A quota with scopes counts such pods only as are in all of them; one by priority class or the like is for others. */
const isOfSessions = ({ spec }: V1ResourceQuota): boolean =>
  [...(spec?.scopes ?? []), ...(spec?.scopeSelector?.matchExpressions ?? []).map(({ scopeName }) => scopeName)].every(
    (scope) => SCOPES_OF_SESSIONS.has(scope),
  )

/** What the protocol and the server's database can hold. */
const MOST = 2_147_483_647

export const quotaCapacity = (quotas: readonly V1ResourceQuota[]): Partial<WireCapacity> => {
  const ours = quotas.filter(isOfSessions)
  const least = (scale: number, ...names: readonly string[]): number | undefined => {
    const values = ours
      .flatMap(({ spec }) => names.map((name) => quantity(spec?.hard?.[name])))
      .filter((value) => value !== null)
    return values.length === 0 ? undefined : Math.min(MOST, Math.floor(Math.min(...values) * scale))
  }
  const said = {
    maxSessions: least(1, 'pods', 'count/pods', 'count/deployments.apps'),
    cpuMillis: least(1_000 * CPU_OVERCOMMIT, 'requests.cpu', 'cpu') ?? least(1_000, 'limits.cpu'),
    memoryMib: least(1 / 2 ** 20, 'requests.memory', 'memory', 'limits.memory'),
  }
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
}

/** Whether quotas are of no interest, as everything is set. */
export const isSet = ({ maxSessions, cpuMillis, memoryMib }: Settings): boolean =>
  maxSessions !== undefined && cpuMillis !== undefined && memoryMib !== undefined

export const capacityOf = (
  quotas: readonly V1ResourceQuota[],
  { maxSessions, cpuMillis, memoryMib }: Settings,
): WireCapacity => {
  const known = { ...DEFAULT, ...quotaCapacity(quotas) }
  return {
    maxSessions: maxSessions ?? known.maxSessions,
    cpuMillis: cpuMillis ?? known.cpuMillis,
    memoryMib: memoryMib ?? known.memoryMib,
  }
}
