/**
 * The manifests as an operator applies them: word for word but for what `docs/agents/kubernetes.md` has them fill in, and a
 * namespace that is this test's alone, as the cluster may have one called `streamspace` that is somebody's.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import type { V1Lease, V1Node, V1Pod } from '@kubernetes/client-node'
import { parseAllDocuments } from 'yaml'
import { type Api, isConflict } from '../../../agents/kubernetes/api.ts'

const folder = new URL('../../../agents/kubernetes/manifests/', import.meta.url)

export type Filled = {
  /** `streamspace` in the manifests. */
  readonly namespace: string
  /** Of the server. */
  readonly url: string
  readonly agentId: string
  readonly image: string
  /** What is in the file that `agent enrol --token-file` wrote. */
  readonly token: Buffer
}

type Manifest = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
}

/** `kubectl apply -f <file>` of what is not there yet. */
const create = async (api: Api, manifest: Manifest): Promise<void> => {
  const { apiVersion, kind, metadata } = manifest
  const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const within = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  try {
    await api.call({
      method: 'POST',
      path: `${base}${within}/${kind.toLowerCase()}s`,
      body: JSON.stringify(manifest),
    })
  } catch (error) {
    if (!isConflict(error)) throw error
  }
}

/** Fails when a value that is to be filled in is not there: then this says something of other manifests. */
const manifestsIn = async (file: string, values: ReadonlyMap<string, string>, used: Set<string>) => {
  const fill = (_key: string, value: unknown): unknown => {
    const filled = typeof value === 'string' ? values.get(value) : undefined
    if (filled === undefined) return value
    used.add(String(value))
    return filled
  }
  // As kubectl reads them: in YAML 1.2 the rights 0440 of a file would be the number 440.
  return parseAllDocuments(await readFile(new URL(file, folder), 'utf8'), { version: '1.1' }).map(
    (document): Manifest => JSON.parse(JSON.stringify(document.toJS(), fill)),
  )
}

/** In the order of the documentation. */
export const install = async (api: Api, { namespace, url, agentId, image, token }: Filled): Promise<void> => {
  const values = new Map([
    ['streamspace', namespace],
    ['https://streamspace.example.org', url],
    ['kubernetes-1', agentId],
    ['streamspace:latest', image],
  ])
  const used = new Set<string>()
  const apply = async (file: string): Promise<void> => {
    for (const manifest of await manifestsIn(file, values, used)) await create(api, manifest)
  }
  await apply('namespace.yaml')
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'streamspace-agent', namespace } }
  await create(api, { ...secret, data: { token: token.toString('base64') } } as Manifest)
  for (const file of (await readdir(folder)).sort()) await apply(file)
  const unused = [...values.keys()].filter((value) => !used.has(value))
  if (unused.length > 0) throw new Error(`the manifests have no ${unused.join(', ')} to fill in`)
}

export type Installation = {
  readonly pods: () => Promise<readonly V1Pod[]>
  /** The name of the pod that works, empty when none does. */
  readonly worker: () => Promise<string>
  /** Of the answer: who has worked since, one after another; empty where none did. */
  readonly workersFromNow: () => Promise<() => Promise<readonly string[]>>
  readonly logOf: (pod: string) => Promise<string>
  /** As `kubectl delete pod` does. */
  readonly deletePod: (pod: string) => Promise<void>
  readonly scale: (replicas: number) => Promise<void>
}

export const installationIn = (api: Api, namespace: string, agentId: string): Installation => {
  const core = `/api/v1/namespaces/${namespace}`
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
  const lease = (): Promise<V1Lease> => api.call({ method: 'GET', path: `${leases}/streamspace-agent-${agentId}` })
  return {
    pods: async () =>
      (
        await api.call<{ items: V1Pod[] }>({
          method: 'GET',
          path: `${core}/pods?labelSelector=app.kubernetes.io%2Fname%3Dstreamspace-agent`,
        })
      ).items.filter(({ metadata }) => metadata?.deletionTimestamp === undefined),
    worker: async () => podIn(await lease()),
    workersFromNow: async () => {
      const before = await lease()
      const since = before.metadata?.resourceVersion
      return async () => {
        const workers = [podIn(before)]
        const { metadata } = await lease()
        const enough = new AbortController()
        await api
          .lines(
            `${leases}?watch=true&fieldSelector=metadata.name%3Dstreamspace-agent-${agentId}&resourceVersion=${since}`,
            enough.signal,
            {
              opened: () => {},
              line: (line) => {
                const { object } = JSON.parse(line) as { readonly object: V1Lease }
                if (workers.at(-1) !== podIn(object)) workers.push(podIn(object))
                // Everything up to now has been told.
                if (object.metadata?.resourceVersion === metadata?.resourceVersion) enough.abort()
              },
            },
          )
          .catch((error: unknown) => {
            if (!enough.signal.aborted) throw error
          })
        return workers
      }
    },
    logOf: async (pod) => {
      const lines: string[] = []
      await api.lines(`${core}/pods/${pod}/log`, AbortSignal.timeout(10_000), {
        opened: () => {},
        line: (line) => void lines.push(line),
      })
      return lines.join('\n')
    },
    deletePod: async (pod) => {
      await api.call({ method: 'DELETE', path: `${core}/pods/${pod}` })
    },
    scale: async (replicas) => {
      await api.call({
        method: 'PATCH',
        path: `/apis/apps/v1/namespaces/${namespace}/deployments/streamspace-agent/scale`,
        contentType: 'application/merge-patch+json',
        body: JSON.stringify({ spec: { replicas } }),
      })
    },
  }
}

/** The holder of a lease is a pod and a run of its agent. */
const podIn = ({ spec }: V1Lease): string => (spec?.holderIdentity ?? '').replace(/_[^_]*$/, '')

/** Where pods reach this machine: the address from which it would speak to their node. */
export const addressForPods = async (api: Api): Promise<string> => {
  const { items } = await api.call<{ items: V1Node[] }>({ method: 'GET', path: '/api/v1/nodes' })
  const node = items[0]?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (node === undefined) throw new Error('the cluster has no node with an address')
  const socket = createSocket(node.includes(':') ? 'udp6' : 'udp4')
  socket.connect(9, node)
  await once(socket, 'connect')
  const { address } = socket.address()
  socket.close()
  return address
}
