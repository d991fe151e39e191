/**
 * Reading and writing single objects. Every write says what it was based on: what is made must not be there yet,
 * what is changed or deleted must still be as it was read. So an agent that was stopped in the middle, and goes
 * on after another has worked in its place, is refused by the API server (docs/decisions/0080).
 */
import type { KubernetesObject, V1Status } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import { type Kind, kinds, pathOf } from './kinds.ts'
import { FIELD_MANAGER } from './names.ts'

export type Seen = { readonly uid: string; readonly resourceVersion: string }
/** Whatever was written since, as long as it is the same one. */
type Same = Pick<Seen, 'uid'>

export type Operation = { readonly op: 'test' | 'add' | 'replace'; readonly path: string; readonly value: unknown }

/** In a path of an operation (RFC 6901). */
export const annotationPath = (name: string): string => `/metadata/annotations/${name.replace('/', '~1')}`

export type Objects = {
  readonly get: <T extends KubernetesObject>(kind: Kind, name: string) => Promise<T>
  /** Conflicts when there is one of this name. */
  readonly create: <T extends KubernetesObject>(kind: Kind, object: T) => Promise<T>
  /** Server-side apply of the whole object. Conflicts when it is no longer what was seen, gone included. */
  readonly apply: <T extends KubernetesObject>(kind: Kind, object: T, seen: Seen) => Promise<T>
  /** Changes only what is named. Conflicts when it is another one. */
  readonly merge: <T extends KubernetesObject>(kind: Kind, name: string, change: object, same: Same) => Promise<T>
  /** All of these or nothing (RFC 6902). Refused with 422 when one of its tests fails; what else is written meanwhile is no conflict. */
  readonly patch: <T extends KubernetesObject>(kind: Kind, name: string, operations: readonly Operation[]) => Promise<T>
  /** Together with all that it owns; what it answers is the object, which may take its time to go. */
  readonly remove: (kind: Kind, name: string, seen: Seen) => Promise<KubernetesObject | V1Status>
  /** With its grace. */
  readonly removePod: (pod: { readonly name: string; readonly uid: string }) => Promise<void>
  /** Takes a pod away at once, without its node's word: only for one whose containers have ended. */
  readonly dismiss: (pod: { readonly name: string; readonly uid: string }) => Promise<void>
}

export const objectsIn = (api: Api, namespace: string): Objects => ({
  get: (kind, name) => api.call({ method: 'GET', path: pathOf(kind, namespace, name) }),
  create: (kind, object) =>
    api.call({
      method: 'POST',
      path: `${pathOf(kind, namespace)}?fieldManager=${FIELD_MANAGER}`,
      body: JSON.stringify({ apiVersion: kind.apiVersion, kind: kind.kind, ...object }),
    }),
  apply: (kind, object, seen) =>
    api.call({
      method: 'PATCH',
      path: `${pathOf(kind, namespace, object.metadata?.name)}?fieldManager=${FIELD_MANAGER}&force=true`,
      contentType: 'application/apply-patch+yaml',
      body: JSON.stringify({
        apiVersion: kind.apiVersion,
        kind: kind.kind,
        ...object,
        metadata: { ...object.metadata, ...preconditions(seen) },
      }),
    }),
  merge: (kind, name, change, { uid }) =>
    api.call({
      method: 'PATCH',
      path: `${pathOf(kind, namespace, name)}?fieldManager=${FIELD_MANAGER}`,
      contentType: 'application/merge-patch+json',
      body: JSON.stringify({
        ...change,
        metadata: { ...(change as KubernetesObject).metadata, uid },
      }),
    }),
  patch: (kind, name, operations) =>
    api.call({
      method: 'PATCH',
      path: `${pathOf(kind, namespace, name)}?fieldManager=${FIELD_MANAGER}`,
      contentType: 'application/json-patch+json',
      body: JSON.stringify(operations),
    }),
  remove: (kind, name, seen) =>
    api.call({
      method: 'DELETE',
      path: pathOf(kind, namespace, name),
      body: JSON.stringify({
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Foreground',
        preconditions: preconditions(seen),
      }),
    }),
  removePod: (pod) => endPod(api, namespace, pod, {}),
  dismiss: (pod) => endPod(api, namespace, pod, { gracePeriodSeconds: 0 }),
})

const endPod = async (
  api: Api,
  namespace: string,
  { name, uid }: { readonly name: string; readonly uid: string },
  options: object,
): Promise<void> => {
  await api.call({
    method: 'DELETE',
    path: pathOf(kinds.pod, namespace, name),
    body: JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, ...options }),
  })
}

const preconditions = ({ uid, resourceVersion }: Seen) => ({ uid, resourceVersion })

export const seenOf = (object: KubernetesObject): Seen => ({
  uid: object.metadata?.uid ?? '',
  resourceVersion: object.metadata?.resourceVersion ?? '',
})
