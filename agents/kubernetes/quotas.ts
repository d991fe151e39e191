/** The namespace's ResourceQuotas, as a watch tells: what it may hold is asked for with each heartbeat. */
import type { V1ResourceQuota } from '@kubernetes/client-node'
import { kinds } from './kinds.ts'
import type { Beside } from './watch-beside.ts'

export type Quotas = { readonly all: () => readonly V1ResourceQuota[]; readonly watched: Beside }

export const createQuotas = (): Quotas => {
  const quotas = new Map<string, V1ResourceQuota>()
  return {
    all: () => [...quotas.values()],
    watched: {
      kind: kinds.quota,
      selector: '',
      without: 'quotas of the namespace cannot be read: the agent takes as much as it takes without any',
      advice:
        'apply agents/kubernetes/manifests/role.yaml, or set STREAMSPACE_MAX_SESSIONS, STREAMSPACE_CPU_MILLIS and STREAMSPACE_MEMORY_MIB',
      changed: (object) => void quotas.set(object.metadata?.uid ?? '', object as V1ResourceQuota),
      removed: ({ metadata }) => void quotas.delete(metadata?.uid ?? ''),
      complete: (there) => {
        for (const uid of quotas.keys()) if (!there.has(uid)) quotas.delete(uid)
      },
    },
  }
}
