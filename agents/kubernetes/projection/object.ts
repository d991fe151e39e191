/** What the projection says of one object, how that is read back, and in what two of them differ. Pure. */
import type { KubernetesObject } from '@kubernetes/client-node'
import { canonicalJson } from '../../../domain/template/template.ts'
import type { Kind } from '../kinds.ts'

type Fields = { readonly [name: string]: unknown }

/** All that is the projection's: other people's labels, annotations and owners are left alone. */
export type Content = {
  readonly labels: { readonly [name: string]: string }
  /** The uid of the ConfigMap that takes it along; null: nobody's. */
  readonly owner: string | null
  readonly spec: Fields
  readonly status: Fields
}

export type Wanted = {
  readonly kind: Kind
  readonly name: string
  readonly content: Content
  /** False: it is written while it is there, and not made again. */
  readonly mayMake: boolean
}

export type View = {
  readonly uid: string
  readonly resourceVersion: string
  readonly content: Content
  /** Who else has written what is ours, by their names as field managers. */
  readonly editors: readonly string[]
}

export const MANAGER = 'streamspace-projection'
/** Another: before 1.22 what one manager owns of an object and of its status is one and the same set. */
export const STATUS_MANAGER = 'streamspace-projection-status'

type Read = KubernetesObject & { readonly spec?: Fields; readonly status?: Fields }

/** `labels`: the names of those that are the projection's. */
export const viewOf = (object: KubernetesObject, labels: readonly string[]): View => {
  const { metadata, spec = {}, status = {} } = object as Read
  const owner = metadata?.ownerReferences?.find(({ kind, name }) => kind === 'ConfigMap' && name === metadata.name)
  return {
    uid: metadata?.uid ?? '',
    resourceVersion: metadata?.resourceVersion ?? '',
    content: {
      labels: Object.fromEntries(
        labels.flatMap((name) => {
          const value = metadata?.labels?.[name]
          return value === undefined ? [] : [[name, value]]
        }),
      ),
      owner: owner?.uid ?? null,
      spec,
      status,
    },
    editors: editorsOf(object),
  }
}

const editorsOf = ({ metadata }: KubernetesObject): readonly string[] => {
  const others = (metadata?.managedFields ?? []).filter(({ manager, fieldsV1 }) => {
    if (manager === MANAGER || manager === STATUS_MANAGER) return false
    const fields = (fieldsV1 ?? {}) as { readonly [name: string]: object | undefined }
    return 'f:spec' in fields || 'f:status' in fields || 'f:labels' in (fields['f:metadata'] ?? {})
  })
  return [...new Set(others.map(({ manager }) => manager ?? 'somebody'))]
}

/** A CRD with a status takes it apart from all else: two writes. */
export const mainText = ({ labels, owner, spec }: Content): string => canonicalJson({ labels, owner, spec })
export const statusText = ({ status }: Content): string => canonicalJson(status)
export const isSame = (a: Content, b: Content): boolean =>
  a === b || (mainText(a) === mainText(b) && statusText(a) === statusText(b))

/** Such as `spec.desiredState`, for people. */
export const fieldsThatDiffer = (a: Content, b: Content): readonly string[] => [
  ...differences('metadata.labels', a.labels, b.labels),
  ...(a.owner === b.owner ? [] : ['metadata.ownerReferences']),
  ...differences('spec', a.spec, b.spec),
  ...differences('status', a.status, b.status),
]

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const differences = (path: string, a: unknown, b: unknown): readonly string[] => {
  if (isFields(a) && isFields(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])]
      .sort()
      .flatMap((name) => differences(`${path}.${name}`, a[name], b[name]))
  return canonicalJson(a ?? null) === canonicalJson(b ?? null) ? [] : [path]
}
