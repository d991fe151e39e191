/**
 * The agent as an operator gets it: the image, the manifests as they are, two replicas in pods with the rights and the
 * restrictions that are written there. What it does with sessions is tested at length elsewhere; here it has to do it from there,
 * with one session from its first day to its last.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { KubernetesObject, V1Pod } from '@kubernetes/client-node'
import { expect } from 'chai'
import Docker from 'dockerode'
import { addressOf } from '../../../agents/docker/engine.ts'
import { eventually } from '../../e2e/support/eventually.ts'
import type { Json } from '../../e2e/support/rest.ts'
import { scene } from '../../e2e/support/scene.ts'
import { migratedDatabase, type Server, server, streamspace } from '../../e2e/support/streamspace.ts'
import { putTemplate } from '../../e2e/support/templates.ts'
import {
  BUSYBOX,
  kinds,
  kubernetesCluster,
  needsImages,
  needsKubernetes,
  START_MS,
  type TestNamespace,
  unusedNamespace,
} from '../../support/kubernetes-cluster.ts'
import { projectImage } from '../../support/project-image.ts'
import { addressForPods, type Installation, install, installationIn } from './installation.ts'

const AGENT = 'in-pods'

const site = {
  name: 'site',
  displayName: 'site',
  resources: { cpuMillis: 250, memoryMib: 64 },
  spec: {
    container: {
      image: BUSYBOX,
      command: ['sh', '-c'],
      args: ['trap "exit 0" TERM; echo begun >>index.html; httpd -f -p 8080 -h "$HOME" & wait'],
      user: 1000,
    },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    home: { path: '/home/user' },
    probe: { type: 'http', path: '/' },
    restart: { policy: 'on-failure', maxRetries: 3 },
    stopGraceSeconds: 1,
  },
}

/** A kubelet of 1.20 takes its time to say that a container has ended. */
const PATIENCE_MS = 90_000

describe('the manifests of the Kubernetes agent', function () {
  this.timeout(240_000)
  const here = scene('suite')
  let docker: Docker
  let namespace: TestNamespace
  let control: Server
  let installed: Installation
  let id: string

  before(async function () {
    needsKubernetes.call(this)
    this.timeout(2 * START_MS)
    const cluster = await kubernetesCluster()
    docker = new Docker(addressOf(needsImages.call(this, cluster)))
    const image = await projectImage(docker)
    control = await server(here, await migratedDatabase(here), {
      HOST: await addressForPods(cluster.api),
      STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500',
    })
    await putTemplate(control.rest, site)
    const tokenFile = join(await here.folder(), 'token')
    const enrolled = streamspace(
      here,
      ['agent', 'enrol', AGENT, '--platform', 'kubernetes', '--token-file', tokenFile],
      {
        STREAMSPACE_URL: control.url,
        STREAMSPACE_API_KEY: control.rest.key,
      },
    )
    expect((await enrolled.end()).code, enrolled.stderr()).to.equal(0)
    namespace = unusedNamespace(cluster)
    const token = await readFile(tokenFile)
    await install(cluster.api, { namespace: namespace.name, url: control.url, agentId: AGENT, image, token })
    installed = installationIn(cluster.api, namespace.name, AGENT)
  })
  after(() => namespace?.close())

  const agentSeen = async (): Promise<Json> => (await control.rest.get(`/agents/${AGENT}`)).body
  const pageOf = async ({ endpoint }: Json): Promise<string> => (await fetch(endpoint.url)).text()
  /** Resolves with the names of the one that works and of the one that waits. */
  const bothThere = (within: number): Promise<{ readonly worker: string; readonly waiting: string }> =>
    eventually(
      async () => {
        const pods = await installed.pods()
        expect(pods.map(stateOf)).to.deep.equal(['running', 'running'])
        const worker = await installed.worker()
        const names = pods.map(({ metadata }) => metadata?.name ?? '')
        expect(names).to.include(worker)
        const waiting = names.find((name) => name !== worker) ?? ''
        const { status, labels } = await agentSeen()
        expect({ status, host: labels.host }).to.deep.equal({ status: 'online', host: worker })
        return { worker, waiting }
      },
      { within },
    )
  const takenOver = async (from: string): Promise<{ readonly by: string; readonly ms: number }> => {
    const began = performance.now()
    const by = await eventually(
      async () => {
        const worker = await installed.worker()
        expect(worker).not.to.be.oneOf([from, ''])
        const { status, labels } = await agentSeen()
        expect({ status, host: labels.host }).to.deep.equal({ status: 'online', host: worker })
        return worker
      },
      { within: PATIENCE_MS },
    )
    return { by, ms: Math.round(performance.now() - began) }
  }
  /** What must not change while agents come and go. */
  const pictureOf = async (id: string) => {
    const { status, restarts, generation, endpoint } = await control.rest.session(id)
    const pods = (await namespace.list<V1Pod>(kinds.pod)).filter(({ metadata }) => metadata?.name?.includes(id))
    return { status, restarts, generation, endpoint, pods: pods.map(({ metadata }) => metadata?.uid) }
  }
  const leftOf = async (id: string): Promise<readonly string[]> => {
    const kept = Object.values(kinds).filter((kind) => kind !== kinds.event)
    const lists = await Promise.all(kept.map((kind) => namespace.list<KubernetesObject>(kind)))
    return lists.flat().flatMap(({ metadata }) => (metadata?.name?.includes(id) ? [metadata.name] : []))
  }
  const containerOf = async (pod: string) => {
    const labels = [`io.kubernetes.pod.name=${pod}`, 'io.kubernetes.container.name=agent']
    const [found] = await docker.listContainers({ filters: { label: labels } })
    if (found === undefined) throw new Error(`${pod} has no container`)
    return docker.getContainer(found.Id)
  }

  it('bring it online with two replicas, of which one works', async () => {
    const began = performance.now()
    const { waiting } = await bothThere(PATIENCE_MS)
    console.log(
      `      online, both replicas there: ${Math.round(performance.now() - began)} ms after they were applied`,
    )
    await eventually(async () =>
      expect(await installed.logOf(waiting)).to.include('another replica works; this one waits'),
    )
    for (const { status } of await installed.pods())
      expect(status?.containerStatuses?.[0]?.restartCount, 'restarts').to.equal(0)
  })

  it('run it as nobody, with a token that only it reads and nothing to write but its own folders', async () => {
    const container = await containerOf((await bothThere(PATIENCE_MS)).worker)
    const script = `id -u; ls -lnL /var/run/secrets/streamspace/token | awk '{print $1, $3, $4}'
      for at in / /app /usr /var/run/secrets/streamspace /var/lib/streamspace /tmp; do touch $at/x 2>/dev/null && echo "wrote $at"; done
      grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'`
    expect((await outputOf(container, script)).split('\n')).to.deep.equal([
      '1000',
      '-r--r----- 0 1000',
      'wrote /var/lib/streamspace',
      'wrote /tmp',
      'CapEff:0000000000000000',
      'NoNewPrivs:1',
      'Seccomp:2',
    ])
  })

  it('let it run a session, which is reached from outside', async () => {
    id = (await control.rest.create({ template: 'site' })).id
    expect(await pageOf(await control.rest.until(id, 'running', PATIENCE_MS))).to.equal('begun\n')
  })

  it('have the other replica go on when the one that works is deleted or killed, and the session notices nothing', async () => {
    const before = await pictureOf(id)
    const first = await bothThere(PATIENCE_MS)
    const whoHadIt = await installed.workersFromNow()
    await installed.deletePod(first.worker)
    // By the one that waited, or the third that the cluster makes while the first one ends.
    const afterDelete = await takenOver(first.worker)
    expect((await installed.pods()).map(({ metadata }) => metadata?.name)).to.include(afterDelete.by)
    // Not for being over: whoever waits had not to wait for that.
    expect(await whoHadIt()).to.deep.equal([first.worker, '', afterDelete.by])
    expect(await pictureOf(id)).to.deep.equal(before)

    const second = await bothThere(PATIENCE_MS)
    await (await containerOf(second.worker)).kill({ signal: 'SIGKILL' })
    const afterKill = await takenOver(second.worker)
    expect(afterKill.by).to.equal(second.waiting)
    console.log(`      the other one works: ${afterDelete.ms} ms after a delete, ${afterKill.ms} ms after a kill`)
    expect(await pictureOf(id)).to.deep.equal(before)
    expect(await pageOf(before)).to.equal('begun\n')
  })

  it('have it give back the lease when there is to be none any more, and take the session up when there is one again', async () => {
    const before = await pictureOf(id)
    await bothThere(PATIENCE_MS)
    await installed.scale(0)
    await eventually(async () => expect(await installed.worker()).to.equal(''), { within: PATIENCE_MS })
    await eventually(async () => expect((await agentSeen()).status).to.equal('offline'))
    expect(await pageOf(before)).to.equal('begun\n')
    await installed.scale(2)
    await bothThere(PATIENCE_MS)
    expect(await pictureOf(id)).to.deep.equal(before)
  })

  it('let it keep the home over hibernating and waking, and leave nothing of what is deleted', async () => {
    expect((await control.rest.post(`/sessions/${id}/hibernate`)).status).to.equal(202)
    await control.rest.until(id, 'hibernated', PATIENCE_MS)
    expect((await control.rest.post(`/sessions/${id}/wake`)).status).to.equal(202)
    expect(await pageOf(await control.rest.until(id, 'running', PATIENCE_MS))).to.equal('begun\nbegun\n')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id, PATIENCE_MS)
    expect(await leftOf(id)).to.deep.equal([])
  })
})

const stateOf = ({ status }: V1Pod): string =>
  Object.keys(status?.containerStatuses?.[0]?.state ?? {})[0] ?? 'not there'

const outputOf = async (container: Docker.Container, script: string): Promise<string> => {
  const command = await container.exec({ Cmd: ['sh', '-c', script], AttachStdout: true, Tty: true })
  const stream = (await command.start({ Tty: true })) as unknown as Readable
  let words = ''
  for await (const chunk of stream) words += String(chunk)
  return words.replaceAll('\r', '').trim()
}
