/** A server and `streamspace agent kubernetes`, as a person starts them, on a real cluster. */
import { join } from 'node:path'
import type { KubernetesObject } from '@kubernetes/client-node'
import { expect } from 'chai'
import { eventually } from '../../e2e/support/eventually.ts'
import type { Json } from '../../e2e/support/rest.ts'
import { type Program, scene } from '../../e2e/support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from '../../e2e/support/streamspace.ts'
import { putTemplate } from '../../e2e/support/templates.ts'
import {
  type KubernetesCluster,
  kinds,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
  type TestNamespace,
  testNamespace,
} from '../../support/kubernetes-cluster.ts'
import { siteTemplate } from '../site-template.ts'

const AGENT = 'kubernetes-1'

/** A kubelet of 1.20 takes its time to say that a container has ended. */
const PATIENCE_MS = 90_000

describe('the Kubernetes agent', function () {
  this.timeout(180_000)
  const here = scene('suite')
  let cluster: KubernetesCluster
  let namespace: TestNamespace
  let control: Server
  let start: () => Program
  let first: Program

  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    namespace = await testNamespace(cluster)
    control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    const token = await enrol(control.rest, AGENT, 'kubernetes')
    const dataDir = join(await here.folder(), 'agent')
    start = () =>
      agent(
        here,
        { id: AGENT, token, url: control.url, dataDir, platform: 'kubernetes' },
        { KUBECONFIG: cluster.kubeconfig, STREAMSPACE_NAMESPACE: namespace.name, LOG_LEVEL: 'info' },
      )
    first = start()
    await putTemplate(control.rest, siteTemplate('steady', { policy: 'on-failure', maxRetries: 3 }))
    await putTemplate(control.rest, siteTemplate('once', { policy: 'never' }))
  })
  after(() => namespace?.close())

  const pageOf = async ({ endpoint }: Json): Promise<string> => (await fetch(endpoint.url)).text()
  const left = async (id: string): Promise<readonly string[]> => {
    const all = [kinds.configMap, kinds.deployment, kinds.pod, kinds.secret, kinds.service, kinds.claim]
    const lists = await Promise.all(all.map((kind) => namespace.list<KubernetesObject>(kind)))
    return lists.flat().flatMap(({ metadata }) => (metadata?.name?.includes(id) ? [metadata.name] : []))
  }

  it('runs the first template that people try, though the image has nothing but busybox', async () => {
    const { id } = await control.rest.create({ template: 'hello-web', parameters: { title: 'A < B' } })
    const page = await pageOf(await control.rest.until(id, 'running', PATIENCE_MS))
    expect(page).to.include('<h1>A &lt; B</h1>').and.include(id)
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id, PATIENCE_MS)
  })

  it('runs a session with its parameters, keeps its home over hibernating and waking, and removes everything with it', async () => {
    const { id } = await control.rest.create({ template: 'steady', parameters: { title: 'one' } })
    const session = await control.rest.until(id, 'running', PATIENCE_MS)
    expect(await pageOf(session)).to.equal('one\n')
    expect(session).to.include({
      platform: 'kubernetes',
      agentId: AGENT,
      agentReachable: true,
      namespace: namespace.name,
    })
    expect(session.serviceName).to.equal(`session-${id}`)
    expect(session.imageDigest).to.match(/^sha256:[0-9a-f]{64}$/)
    expect((await control.rest.post(`/sessions/${id}/hibernate`)).status).to.equal(202)
    await control.rest.until(id, 'hibernated', PATIENCE_MS)
    expect((await control.rest.post(`/sessions/${id}/wake`)).status).to.equal(202)
    expect(await pageOf(await control.rest.until(id, 'running', PATIENCE_MS))).to.equal('one\none\n')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id, PATIENCE_MS)
    expect(await left(id)).to.deep.equal([])
  })

  it('notices within two seconds what somebody deletes, and repairs it where the restart policy says so', async () => {
    const { id } = await control.rest.create({ template: 'steady' })
    const { id: once } = await control.rest.create({ template: 'once' })
    await control.rest.until(id, 'running', PATIENCE_MS)
    await control.rest.until(once, 'running', PATIENCE_MS)
    await namespace.remove(kinds.deployment, `session-${id}`)
    await namespace.remove(kinds.deployment, `session-${once}`)
    await eventually(async () => expect((await control.rest.session(id)).restarts).to.equal(1), { within: 2_000 })
    expect(await control.rest.until(once, 'failed', 2_000)).to.include({ statusReason: 'removed_outside' })
    const repaired = await control.rest.until(id, 'running', PATIENCE_MS)
    expect(await pageOf(repaired)).to.equal('Home\nHome\n')
  })

  it('is followed by a second replica within fifteen seconds when it is killed', async () => {
    const second = start()
    await second.told('another replica works; this one waits')
    first.signal('SIGKILL')
    await first.end()
    const began = performance.now()
    const { id } = await control.rest.create({ template: 'once' })
    await control.rest.until(id, 'running', PATIENCE_MS)
    console.log(`      a session runs on the second replica ${Math.round(performance.now() - began)} ms after the kill`)
    second.signal('SIGTERM')
    expect((await second.end()).code).to.equal(0)
  })
})
