/** The namespace's ResourceQuotas, as a watch tells: what it may hold is asked for with each heartbeat. */
import type { V1ResourceQuota } from '@kubernetes/client-node'
import { kinds } from './kinds.ts'
import type { Watched } from './watch.ts'

export type Quotas = { readonly all: () => readonly V1ResourceQuota[]; readonly watched: Watched }

export const createQuotas = (): Quotas => {
  const quotas = new Map<string, V1ResourceQuota>()
  return {
    all: () => [...quotas.values()],
    watched: {
      kind: kinds.quota,
      selector: '',
      changed: (object) => void quotas.set(object.metadata?.uid ?? '', object as V1ResourceQuota),
      removed: ({ metadata }) => void quotas.delete(metadata?.uid ?? ''),
      complete: (there) => {
        for (const uid of quotas.keys()) if (!there.has(uid)) quotas.delete(uid)
      },
    },
  }
}
