/** The projection's own requests: what it writes it takes over from whoever wrote it last. */
import { randomBytes } from 'node:crypto'
import type { CoreV1Event, KubernetesObject } from '@kubernetes/client-node'
import type { Api } from '../api.ts'
import { kinds, pathOf } from '../kinds.ts'
import { MANAGER, STATUS_MANAGER, type View, viewOf, type Wanted } from './object.ts'

export type Requests = {
  /** All but the status; makes it where there is none. */
  readonly applyMain: (wanted: Wanted) => Promise<View>
  /** Of an object that is there. */
  readonly applyStatus: (wanted: Wanted) => Promise<View>
  readonly remove: (wanted: Pick<Wanted, 'kind' | 'name'>, uid: string) => Promise<void>
  readonly tell: (about: Told) => Promise<void>
}

export type Told = Pick<Wanted, 'kind' | 'name'> & { readonly uid: string; readonly message: string }

export const PUT_BACK = 'PutBack'

export const requestsIn = (api: Api, namespace: string): Requests => {
  const apply = async ({ kind, name, content }: Wanted, at: '' | '/status', body: object): Promise<View> => {
    const manager = at === '' ? MANAGER : STATUS_MANAGER
    const object: KubernetesObject = await api.call({
      method: 'PATCH',
      path: `${pathOf(kind, namespace, name)}${at}?fieldManager=${manager}&force=true`,
      contentType: 'application/apply-patch+yaml',
      body: JSON.stringify({ apiVersion: kind.apiVersion, kind: kind.kind, ...body }),
    })
    return viewOf(object, Object.keys(content.labels))
  }

  return {
    applyMain: (wanted) => {
      const { name, content } = wanted
      const { labels, owner, spec } = content
      const ownerReferences = owner === null ? {} : { ownerReferences: [ownedBy(name, owner)] }
      return apply(wanted, '', { metadata: { name, labels, ...ownerReferences }, spec })
    },
    applyStatus: (wanted) =>
      apply(wanted, '/status', { metadata: { name: wanted.name }, status: wanted.content.status }),
    remove: async ({ kind, name }, uid) => {
      await api.call({
        method: 'DELETE',
        path: pathOf(kind, namespace, name),
        body: JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } }),
      })
    },
    tell: async ({ kind, name, uid, message }) => {
      const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
      const event: CoreV1Event = {
        metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
        involvedObject: { apiVersion: kind.apiVersion, kind: kind.kind, name, namespace, uid },
        reason: PUT_BACK,
        message,
        type: 'Warning',
        source: { component: 'streamspace-agent' },
        firstTimestamp: now as never,
        lastTimestamp: now as never,
        count: 1,
      }
      await api.call({ method: 'POST', path: pathOf(kinds.event, namespace), body: JSON.stringify(event) })
    },
  }
}

/** It does not block: a projection that cannot be deleted must not keep a session from being so. */
const ownedBy = (name: string, uid: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name,
  uid,
  blockOwnerDeletion: false,
})
