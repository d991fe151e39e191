/**
 * The manifest's Role is what the agent needs: it works with the account's own token, and with each rule taken away in
 * turn something is refused, in words that name the right. No pod is needed for that: the session finds no place.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CoreV1Event, KubernetesObject } from '@kubernetes/client-node'
import { expect } from 'chai'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { createApi } from '../../../agents/kubernetes/api.ts'
import { type Kind, kinds, pathOf } from '../../../agents/kubernetes/kinds.ts'
import { holdLease } from '../../../agents/kubernetes/lease.ts'
import { objectsIn } from '../../../agents/kubernetes/objects-client.ts'
import { createKubernetesPlatform } from '../../../agents/kubernetes/platform.ts'
import { connect } from '../../../agents/kubernetes/transport.ts'
import type { Applied } from '../../../agents/runtime/platform.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type KubernetesCluster,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
  type TestNamespace,
  testNamespace,
} from '../../support/kubernetes-cluster.ts'
import { aSessionId, target } from '../../support/process-agent.ts'
import { nowhere } from '../../support/watched-agent.ts'
import { applyCrds } from './projection-place.ts'

type Rule = { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }
type Document = { readonly kind: string; readonly metadata: { readonly name: string; namespace: string } } & Record<
  string,
  unknown
>

const manifest = new URL('../../../agents/kubernetes/manifests/role.yaml', import.meta.url)
const documents: readonly Document[] = parseAllDocuments(await readFile(manifest, 'utf8')).map((one) => one.toJS())
const rules = (documents.find(({ kind }) => kind === 'Role')?.rules ?? []) as readonly Rule[]
const NAME = 'streamspace-agent'
const RBAC = '/apis/rbac.authorization.k8s.io/v1/namespaces'

describe('the rights of the Kubernetes agent', function () {
  this.timeout(120_000)
  let cluster: KubernetesCluster
  let namespace: TestNamespace
  let folder: string
  let kubeconfig: string

  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    await applyCrds(cluster.api)
    namespace = await testNamespace(cluster)
    folder = await mkdtemp(join(tmpdir(), 'rights-'))
    kubeconfig = await installed()
  })
  after(async () => {
    await namespace?.close()
    if (folder !== undefined) await rm(folder, { recursive: true })
  })

  /** The manifest, in this namespace, and a kubeconfig with the account's token. */
  const installed = async (): Promise<string> => {
    const { api } = cluster
    for (const one of documents) {
      const document = structuredClone(one)
      document.metadata.namespace = namespace.name
      for (const subject of (document.subjects ?? []) as { namespace: string }[]) subject.namespace = namespace.name
      const collection =
        one.kind === 'ServiceAccount'
          ? `/api/v1/namespaces/${namespace.name}/serviceaccounts`
          : `${RBAC}/${namespace.name}/${one.kind.toLowerCase()}s`
      await api.call({ method: 'POST', path: collection, body: JSON.stringify(document) })
    }
    const { status } = await api.call<{ status: { token: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace.name}/serviceaccounts/${NAME}/token`,
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }),
    })
    const config = parse(await readFile(cluster.kubeconfig, 'utf8'))
    for (const user of config.users) user.user = { token: status.token }
    const path = join(folder, 'kubeconfig')
    await writeFile(path, stringify(config), { mode: 0o600 })
    return path
  }

  const allow = async (allowed: readonly Rule[]): Promise<void> => {
    await cluster.api.call({
      method: 'PATCH',
      path: `${RBAC}/${namespace.name}/roles/${NAME}`,
      contentType: 'application/merge-patch+json',
      body: JSON.stringify({ rules: allowed }),
    })
  }

  /** What an agent does, with the account's rights: everything that was refused. */
  const work = async (): Promise<readonly string[]> => {
    const refused: string[] = []
    const note = (error: unknown): void => void refused.push((error as Error).message)
    const noteAnswer = (answer: Applied): void => {
      if (answer.kind === 'failed' && answer.code !== 'unschedulable') refused.push(answer.message)
    }
    const warn = ({ error }: { readonly error?: string }): void => void refused.push(String(error))
    const log = { debug: () => {}, info: () => {}, warn: warn as never, error: () => {} }
    const settings = {
      agentId: 'rights',
      kubeconfig,
      namespace: namespace.name,
      ingressHost: '{session}.example.org',
      projection: true,
    }
    const platform = createKubernetesPlatform(settings, log)
    const over = new AbortController()
    const transport = connect(kubeconfig)
    try {
      await platform.capacity().catch(note)
      const objects = objectsIn(createApi(transport), namespace.name)
      const lease = holdLease(objects, { name: 'rights', holder: 'one' }, over.signal, log)
      const patience = setTimeout(() => over.abort(), 1_000)
      await (await lease)?.release()
      clearTimeout(patience)
      await platform.open({ report: () => {}, activity: () => {}, degraded: () => {} })
      const id = aSessionId()
      const context = { signal: new AbortController().signal, progress: () => {} }
      const withPort = { ...nowhere, ports: [{ name: 'http', port: 80, protocol: 'http' }] }
      for (const generation of [1, 2])
        noteAnswer(await platform.apply(target(id, withPort as never, { generation }), context))
      await meddle(id, refused)
      noteAnswer(await platform.apply(target(id, {}, { generation: 3, state: 'deleted' }), context))
    } catch (error) {
      note(error)
    } finally {
      over.abort()
      transport.close()
      await platform.close()
    }
    return refused
  }

  /** Somebody edits the session's object: an agent that may puts that back, and an event says so. */
  const meddle = async (id: string, refused: readonly string[]): Promise<void> => {
    const name = `session-${id}`
    const list = async <T>(kind: Kind) => namespace.list<T & KubernetesObject>(kind)
    const done = async (check: () => Promise<boolean>): Promise<void> => {
      await eventually(async () => {
        if (!refused.some((message) => message.includes('is forbidden')) && !(await check())) throw new Error('not yet')
      })
    }
    const shown = async () =>
      (await list<{ status?: { status?: string } }>(kinds.session)).find(({ metadata }) => metadata?.name === name)
    await done(async () => (await shown())?.status?.status === 'failed')
    if ((await shown()) === undefined) return
    await cluster.api.call({
      method: 'PATCH',
      path: `${pathOf(kinds.session, namespace.name, name)}?fieldManager=kubectl-edit`,
      contentType: 'application/merge-patch+json',
      body: JSON.stringify({ spec: { user: 'somebody else' } }),
    })
    await done(async () =>
      (await list<CoreV1Event>(kinds.event)).some(
        ({ involvedObject }) => involvedObject.kind === 'Session' && involvedObject.name === name,
      ),
    )
  }

  it('are enough: nothing is refused to an agent with the account’s own token', async () => {
    await allow(rules)
    await eventually(async () => expect(await work()).to.deep.equal([]))
  })

  it('without quotas’ (an older Role) it works all the same: that is said once, with what to apply', async () => {
    await allow(rules.filter(({ resources }) => !resources.includes('resourcequotas')))
    try {
      await eventually(async () => {
        const degraded: (string | null)[] = []
        const warned: { readonly error?: string; readonly advice?: string }[] = []
        const log = {
          debug: () => {},
          info: () => {},
          warn: ((it: object) => void warned.push(it)) as never,
          error: () => {},
        }
        const settings = { agentId: 'older', kubeconfig, namespace: namespace.name, degradedAfterMs: 100 }
        const platform = createKubernetesPlatform(settings, log)
        try {
          await platform.open({ report: () => {}, activity: () => {}, degraded: (why) => void degraded.push(why) })
          const context = { signal: new AbortController().signal, progress: () => {} }
          // It takes a second until that finds no place.
          expect(await platform.apply(target(aSessionId(), nowhere), context)).to.include({ code: 'unschedulable' })
          const ofQuotas = warned.filter(({ error }) => error?.includes('"resourcequotas"'))
          expect(ofQuotas).to.have.length(1)
          expect(ofQuotas[0]?.advice).to.include('role.yaml')
          expect(degraded).to.deep.equal([])
          expect(await platform.capacity()).to.include({ maxSessions: 250 })
        } finally {
          await platform.close()
        }
      })
    } finally {
      await allow(rules)
    }
  })

  for (const rule of rules) {
    const names = rule.resources.join(' and ')
    it(`without ${names} (${rule.verbs.join(', ')}) something is refused that names one of them`, async () => {
      await allow(rules.filter((one) => one !== rule))
      await eventually(async () => {
        const refused = (await work()).filter((message) => message.includes('is forbidden'))
        // Which of a rule's is asked for first is not said.
        const isNamed = rule.resources.some((resource) => refused.join('\n').includes(`"${resource}"`))
        expect(isNamed, refused.join('\n')).to.equal(true)
      })
      await allow(rules)
    })
  }
})
