/**
 * A real Kubernetes: the one of `KUBECONFIG`, or one that the script named by `STREAMSPACE_TEST_KUBE` starts for this run
 * (`kube up DIR` prints what to export, `kube down DIR` ends it). Where there is neither, a person's run leaves those
 * tests out and says so in one line; a run with CI set fails.
 *
 * Tests that bring an image of their own need the Docker engine which runs the node's pods: `kube up` exports its
 * `DOCKER_HOST`; of the cluster of `KUBECONFIG` it is said by `STREAMSPACE_TEST_KUBE_DOCKER`.
 */
import { execFile, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { KubernetesObject } from '@kubernetes/client-node'
import Docker from 'dockerode'
import { addressOf } from '../../agents/docker/engine.ts'
import { type Api, createApi } from '../../agents/kubernetes/api.ts'
import { type Kind, kinds, pathOf } from '../../agents/kubernetes/kinds.ts'
import { connect } from '../../agents/kubernetes/transport.ts'
import { BUSYBOX } from './docker-engine.ts'
import { atEndOfRun } from './end-of-run.ts'
import { engineFolder } from './engine-folder.ts'
import { eventually } from './eventually.ts'
import { clusterFolder, takeDownLeftBehind } from './kubernetes-left-behind.ts'
import { settleNode } from './kubernetes-node.ts'

export type KubernetesCluster = {
  readonly kubeconfig: string
  readonly api: Api
  /** Of the engine that runs the pods, as in `DOCKER_HOST`; null when nobody has said. */
  readonly dockerHost: string | null
}

const run = promisify(execFile)

export const kubeScript = (): string | null =>
  process.env.STREAMSPACE_TEST_KUBE ? resolve(process.env.STREAMSPACE_TEST_KUBE) : null

/** Why there is no cluster here; null: there is one, or can be. */
export const whyNoKubernetes = (): string | null =>
  process.env.KUBECONFIG || kubeScript() !== null
    ? null
    : 'there is no Kubernetes: set KUBECONFIG, or STREAMSPACE_TEST_KUBE to a script that starts one'

let said = false

/** For `before(needsKubernetes)`. */
export function needsKubernetes(this: Mocha.Context): void {
  const why = whyNoKubernetes()
  if (why === null) return
  if (process.env.CI) throw new Error(why)
  if (!said) console.error(`Tests with Kubernetes are skipped: ${why}`)
  said = true
  this.skip()
}

let saidOfImages = false

/** For a `before` that is to bring an image into this cluster. */
export function needsImages(this: Mocha.Context, { dockerHost }: KubernetesCluster): string {
  if (dockerHost !== null) return dockerHost
  const why = 'the Docker engine of the cluster is not known: set STREAMSPACE_TEST_KUBE_DOCKER to its unix:// address'
  if (process.env.CI) throw new Error(why)
  if (!saidOfImages) console.error(`Tests with an image of their own in Kubernetes are skipped: ${why}`)
  saidOfImages = true
  return this.skip()
}

let shared: Promise<KubernetesCluster> | undefined

/** One for the whole run: starting it takes half a minute, so a `before` that asks for it needs the time. */
export const kubernetesCluster = (): Promise<KubernetesCluster> => {
  shared ??= process.env.KUBECONFIG
    ? clusterOf(process.env.KUBECONFIG, process.env.STREAMSPACE_TEST_KUBE_DOCKER || null)
    : started()
  return shared
}

export const START_MS = 240_000

const clusterOf = async (kubeconfig: string, dockerHost: string | null): Promise<KubernetesCluster> => {
  const opener = fork(fileURLToPath(new URL('open-homes.ts', import.meta.url)))
  await once(opener, 'message')
  opener.unref()
  opener.channel?.unref()
  const transport = connect(kubeconfig)
  atEndOfRun(async () => {
    opener.disconnect()
    transport.close()
  })
  return { kubeconfig, api: createApi(transport), dockerHost }
}

const started = async (): Promise<KubernetesCluster> => {
  const kube = kubeScript() ?? ''
  await takeDownLeftBehind((folder) => run(kube, ['down', folder]))
  const folder = await mkdtemp(join(engineFolder(), clusterFolder))
  atEndOfRun(async () => {
    await run(kube, ['down', folder]).catch(() => {})
  })
  const { stdout } = await run(kube, ['up', folder])
  const exported = /export KUBECONFIG=(\S+)/.exec(stdout)?.[1]
  if (exported === undefined) throw new Error(`${kube} up did not say where its kubeconfig is: ${stdout}`)
  await run(kube, ['image', folder, BUSYBOX])
  const dockerHost = /export DOCKER_HOST=(\S+)/.exec(stdout)?.[1] ?? null
  if (dockerHost !== null) await settleNode(new Docker(addressOf(dockerHost)))
  return clusterOf(exported, dockerHost)
}

export type TestNamespace = {
  readonly name: string
  readonly list: <T>(kind: Kind) => Promise<readonly T[]>
  readonly create: (kind: Kind, object: KubernetesObject) => Promise<void>
  readonly patch: (kind: Kind, name: string, change: object) => Promise<void>
  /** As `kubectl delete` does; whoever is not there is gone already. */
  readonly remove: (kind: Kind, name: string, query?: string) => Promise<void>
  readonly close: () => Promise<void>
}

const NAMESPACES = '/api/v1/namespaces'

/** One that is not there yet, for a test that makes it. */
export const unusedNamespace = ({ api }: KubernetesCluster): TestNamespace => {
  const name = `test-${randomBytes(5).toString('hex')}`
  const ignoreGone = async (asked: Promise<unknown>): Promise<void> => {
    await asked.catch((error: { status?: number }) => {
      if (error.status !== 404) throw error
    })
  }
  return {
    name,
    list: async <T>(kind: Kind) => (await api.call<{ items: T[] }>({ method: 'GET', path: pathOf(kind, name) })).items,
    create: async (kind, object) => {
      const body = JSON.stringify({ apiVersion: kind.apiVersion, kind: kind.kind, ...object })
      await api.call({ method: 'POST', path: pathOf(kind, name), body })
    },
    patch: async (kind, object, change) => {
      const contentType = 'application/merge-patch+json'
      await api.call({ method: 'PATCH', path: pathOf(kind, name, object), contentType, body: JSON.stringify(change) })
    },
    remove: (kind, object, query = '') =>
      ignoreGone(api.call({ method: 'DELETE', path: `${pathOf(kind, name, object)}${query}` })),
    close: () => ignoreGone(api.call({ method: 'DELETE', path: `${NAMESPACES}/${name}` })),
  }
}

/** A namespace of its own, that takes everything along. */
export const testNamespace = async (cluster: KubernetesCluster): Promise<TestNamespace> => {
  const namespace = unusedNamespace(cluster)
  const { name } = namespace
  await cluster.api.call({ method: 'POST', path: NAMESPACES, body: JSON.stringify({ metadata: { name } }) })
  // Pods are refused until the account that they run under is there.
  await eventually(() => cluster.api.call({ method: 'GET', path: `${NAMESPACES}/${name}/serviceaccounts/default` }))
  return namespace
}

export { BUSYBOX, kinds }
