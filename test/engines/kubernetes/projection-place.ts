/** A namespace with the kinds of the projection, agents in this process, and a look at what people see. */
import { readFile } from 'node:fs/promises'
import type { CoreV1Event, KubernetesObject } from '@kubernetes/client-node'
import { parseAllDocuments } from 'yaml'
import { type Api, isGone } from '../../../agents/kubernetes/api.ts'
import { type Kind, kinds, pathOf } from '../../../agents/kubernetes/kinds.ts'
import { createKubernetesPlatform, type KubernetesPlatform } from '../../../agents/kubernetes/platform.ts'
import type { KubernetesSettings } from '../../../agents/kubernetes/settings.ts'
import { connect, type Transport } from '../../../agents/kubernetes/transport.ts'
import type { Log } from '../../../agents/runtime/log.ts'
import type { PlatformReport } from '../../../agents/runtime/platform.ts'
import { eventually } from '../../support/eventually.ts'
import { type KubernetesCluster, type TestNamespace, testNamespace } from '../../support/kubernetes-cluster.ts'

export type Shown = KubernetesObject & {
  readonly spec: Record<string, unknown>
  readonly status?: Record<string, unknown>
}

const manifest = new URL('../../../agents/kubernetes/manifests/crds.yaml', import.meta.url)
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** They stay: they are the whole cluster's, and another run may be using them. */
export const applyCrds = async (api: Api): Promise<void> => {
  for (const document of parseAllDocuments(await readFile(manifest, 'utf8'))) {
    const crd = document.toJS() as KubernetesObject
    const path = `${CRDS}/${crd.metadata?.name}`
    await api.call({
      method: 'PATCH',
      path: `${path}?fieldManager=test&force=true`,
      contentType: 'application/apply-patch+yaml',
      body: JSON.stringify(crd),
    })
    await eventually(async () => {
      const { status } = await api.call<{ status: { conditions: { type: string; status: string }[] } }>({
        method: 'GET',
        path,
      })
      const isSo = (type: string) => status.conditions.some((one) => one.type === type && one.status === 'True')
      if (!isSo('Established')) throw new Error(`not established: ${JSON.stringify(status)}`)
    })
  }
}

export type Watched = {
  readonly platform: KubernetesPlatform
  readonly reports: PlatformReport[]
  /** What it said to its log. */
  readonly said: string[]
}

export type ProjectionPlace = {
  readonly namespace: TestNamespace
  readonly agent: (more?: Partial<KubernetesSettings>, transport?: Transport) => Promise<Watched>
  readonly shown: (kind: Kind) => Promise<readonly Shown[]>
  readonly session: (id: string) => Promise<Shown | undefined>
  /** As `kubectl get` prints it: the values by the names of their columns. */
  readonly table: (kind: Kind) => Promise<readonly Record<string, unknown>[]>
  /** As `kubectl edit` writes it. */
  readonly edit: (kind: Kind, name: string, change: object, at?: '' | '/status') => Promise<Shown>
  readonly events: (about: KubernetesObject) => Promise<readonly CoreV1Event[]>
  readonly close: () => Promise<void>
}

type Table = {
  readonly columnDefinitions: readonly { readonly name: string }[]
  readonly rows: readonly { readonly cells: readonly unknown[] }[]
}

export const projectionPlace = async (cluster: KubernetesCluster): Promise<ProjectionPlace> => {
  const { api, kubeconfig } = cluster
  await applyCrds(api)
  const namespace = await testNamespace(cluster)
  const opened: KubernetesPlatform[] = []
  const shown = (kind: Kind) => namespace.list<Shown>(kind)

  return {
    namespace,
    shown,
    agent: async (more = {}, transport) => {
      const said: string[] = []
      const write = (details: object, message: string): void => void said.push(`${message} ${JSON.stringify(details)}`)
      const log: Log = { debug: () => {}, info: write, warn: write, error: write }
      const settings = { agentId: 'agent-a', kubeconfig, namespace: namespace.name, projection: true, ...more }
      const platform = createKubernetesPlatform(settings, log, transport === undefined ? {} : { transport })
      opened.push(platform)
      const reports: PlatformReport[] = []
      await platform.open({ report: (one) => void reports.push(one), activity: () => {}, degraded: () => {} })
      return { platform, reports, said }
    },
    session: (id) =>
      api
        .call<Shown>({ method: 'GET', path: pathOf(kinds.session, namespace.name, `session-${id}`) })
        .catch((error: unknown) => {
          if (isGone(error)) return undefined
          throw error
        }),
    table: async (kind) => {
      const answer = await asTable(kubeconfig, pathOf(kind, namespace.name))
      return answer.rows.map(({ cells }) =>
        Object.fromEntries(answer.columnDefinitions.map(({ name }, index) => [name, cells[index]])),
      )
    },
    edit: (kind, name, change, at = '') =>
      api.call({
        method: 'PATCH',
        path: `${pathOf(kind, namespace.name, name)}${at}?fieldManager=kubectl-edit`,
        contentType: 'application/merge-patch+json',
        body: JSON.stringify(change),
      }),
    events: async (about) =>
      (await namespace.list<CoreV1Event>(kinds.event)).filter(
        ({ involvedObject }) => involvedObject.uid === about.metadata?.uid,
      ),
    close: async () => {
      await Promise.all(opened.map((one) => one.close()))
      await namespace.close()
    },
  }
}

const asTable = async (kubeconfig: string, path: string): Promise<Table> => {
  const transport = connect(kubeconfig)
  try {
    const answer = await transport.send({
      method: 'GET',
      path,
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    })
    return JSON.parse(Buffer.concat(await answer.toArray()).toString('utf8')) as Table
  } finally {
    transport.close()
  }
}
