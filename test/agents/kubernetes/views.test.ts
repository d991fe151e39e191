import { createServer } from 'node:net'
import type { V1Pod } from '@kubernetes/client-node'
import { expect } from 'chai'
import { endpointAt } from '../../../agents/kubernetes/endpoint.ts'
import { createHealth } from '../../../agents/kubernetes/health.ts'
import { kinds } from '../../../agents/kubernetes/kinds.ts'
import { GENERATION, STAMP, START } from '../../../agents/kubernetes/names.ts'
import { createReach } from '../../../agents/kubernetes/reach.ts'
import type { Settings } from '../../../agents/kubernetes/settings.ts'
import { hasEnded } from '../../../agents/kubernetes/until-ended.ts'
import { anchorView, deploymentView, eventView, podView } from '../../../agents/kubernetes/views.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'

const metadata = { name: 'one', uid: 'u-1', resourceVersion: '7' }

describe('what is remembered of objects of a cluster', () => {
  it('of a Deployment: which generation it is of, how many it wants, and why none can be made', () => {
    const annotations = { [GENERATION]: '5', [START]: '2', [STAMP]: 'someone' }
    const refusal = 'pods "x" is forbidden: exceeded quota'
    const view = deploymentView({
      metadata: { ...metadata, annotations },
      spec: { replicas: 0 } as never,
      status: { conditions: [{ type: 'ReplicaFailure', status: 'True', message: refusal }] as never },
    })
    expect(view).to.deep.include({ generation: 5, start: 2, stamp: 'someone', replicas: 0, going: false, refusal })
  })

  it('of one whose annotations somebody edited or removed: nothing that could be taken for a generation', () => {
    for (const generation of ['-1', '1e3', '99999999999999999999', 'five', ''])
      expect(
        deploymentView({ metadata: { ...metadata, annotations: { [GENERATION]: generation } } }).generation,
      ).to.equal(0)
    expect(deploymentView({ metadata })).to.deep.include({
      generation: 0,
      start: 0,
      stamp: '',
      replicas: 1,
      refusal: null,
    })
    expect(anchorView({ metadata, data: { record: 'not JSON' } }).record).to.equal(null)
    const deletionTimestamp = new Date()
    expect(anchorView({ metadata: { ...metadata, deletionTimestamp } })).to.deep.include({ going: true })
  })

  const pod = (status: V1Pod['status'], spec: object = {}): V1Pod => ({
    metadata,
    spec: spec as never,
    status: status!,
  })
  const container = (state: object, more: object = {}) =>
    ({ containerStatuses: [{ name: 'session', ready: false, restartCount: 0, state, ...more }] }) as never

  it('of a pod that waits for a place: the scheduler’s words', () => {
    const message = '0/1 nodes are available: 1 Insufficient memory.'
    const conditions = [{ type: 'PodScheduled', status: 'False', message }] as never
    expect(podView(pod({ phase: 'Pending', conditions }))).to.include({
      unschedulable: message,
      node: null,
      ran: false,
    })
  })

  it('of a pod that runs: where, with which container and image', () => {
    const status = container({ running: {} }, { containerID: 'docker://c', imageID: 'sha256:i', ready: true })
    const view = podView(pod({ ...(status as object), phase: 'Running' }, { nodeName: 'node-1' }))
    expect(view).to.deep.include({ node: 'node-1', phase: 'Running', ran: true, unschedulable: null })
    expect(view.container).to.include({ id: 'docker://c', imageId: 'sha256:i', state: 'running', ready: true })
  })

  it('of a container that ended: how, after how long, with its last words, also when another has begun since', () => {
    const terminated = {
      exitCode: 3,
      reason: 'Error',
      message: 'the reason\n',
      startedAt: new Date(1_000),
      finishedAt: new Date(3_500),
    }
    const ended = { exitCode: 3, reason: 'Error', output: 'the reason\n', ranMs: 2_500 }
    expect(podView(pod(container({ terminated }))).container?.ended).to.deep.equal(ended)
    const again = podView(pod(container({ running: {} }, { lastState: { terminated }, restartCount: 1 })))
    expect(again.container).to.deep.include({ ended, state: 'running', restarts: 1 })
  })

  it('of a container that ended twice: both ends; of one that has begun again, the last', () => {
    const end = (exitCode: number) => ({ terminated: { exitCode, reason: 'Error' } as never })
    const twice = podView(pod(container(end(2), { lastState: end(1) }))).container
    expect([twice?.ended?.exitCode, twice?.endedBefore?.exitCode]).to.deep.equal([2, 1])
    const again = podView(pod(container({ running: {} }, { lastState: end(1) }))).container
    expect([again?.ended?.exitCode, again?.endedBefore]).to.deep.equal([1, null])
  })

  it('of a container that was seen to run once: that it ran, whatever the kubelet calls it later', () => {
    const before = podView(pod(container({ running: {} })))
    const waiting = pod(container({ waiting: { reason: 'ContainerCreating' } }))
    expect(podView(waiting).ran).to.equal(false)
    expect(podView(waiting, before).ran).to.equal(true)
    expect(hasEnded({ ...podView(waiting, before), going: true })).to.equal(true)
    expect(hasEnded({ ...podView(waiting), going: true })).to.equal(false)
    expect(hasEnded(podView(pod({ phase: 'Succeeded' })))).to.equal(true)
  })

  it('of an event: its words, bounded', () => {
    const event = { type: 'Warning', reason: 'Failed', message: 'x'.repeat(5_000) } as never
    expect(eventView(event)).to.deep.equal({ reason: 'Failed', message: 'x'.repeat(1_000), warning: true })
  })
})

describe('whether a cluster can be used', () => {
  it('is told when a watch has not been well for a while, once, and again when all are', async () => {
    const told: (string | null)[] = []
    const health = createHealth({ degraded: (reason) => void told.push(reason) }, 20)
    health.unwell(kinds.pod, 'pods: refused')
    health.unwell(kinds.deployment, 'deployments: refused')
    await eventually(() => expect(told).to.deep.equal(['pods: refused']))
    health.well(kinds.pod)
    expect(told).to.have.length(1)
    health.well(kinds.deployment)
    expect(told).to.deep.equal(['pods: refused', null])
    health.well(kinds.deployment)
    expect(told).to.have.length(2)
    health.stop()
  })

  it('is not told of what was mended at once', async () => {
    const told: (string | null)[] = []
    const health = createHealth({ degraded: (reason) => void told.push(reason) }, 30)
    health.unwell(kinds.pod, 'cut')
    health.well(kinds.pod)
    health.unwell(kinds.pod, 'for good')
    await eventually(() => expect(told).to.deep.equal(['for good']))
    health.stop()
  })
})

describe('the endpoint of a session on Kubernetes', () => {
  const sessionId = aSessionId()
  const spec = {
    resources: { cpuMillis: 1, memoryMib: 1 },
    env: {},
    ports: [
      { name: 'http', port: 8080, protocol: 'http' },
      { name: 'vnc', port: 5901, protocol: 'vnc' },
    ],
  }
  const at = (settings: Partial<Settings>, address: string | null = '10.0.0.9') =>
    endpointAt(spec, { sessionId, settings: settings as Settings, address, accessToken: 't' })

  it('is its Service’s address, or nothing while it has none', () => {
    expect(at({})).to.deep.include({ url: 'http://10.0.0.9:8080/?token=t', host: '10.0.0.9', port: 8080 })
    expect(at({})?.ports?.[1]).to.deep.include({ url: 'vnc://10.0.0.9:5901', port: 5901 })
    expect(at({}, null)).to.equal(null)
  })

  it('is its Ingress where hosts are given out, for the port that speaks HTTP', () => {
    const plain = at({ ingressHost: '{id}.apps.example.com' })
    expect(plain?.url).to.match(/^http:\/\/[^/]*\.apps\.example\.com\/\?token=t$/)
    const secure = at({ ingressHost: '{id}.apps.example.com', ingressTlsSecret: 'tls' })
    expect(secure).to.include({ port: 443 })
    expect(secure?.url).to.match(/^https:/)
    expect(secure?.ports?.[1]?.url).to.equal('vnc://10.0.0.9:5901')
  })
})

describe('whether a Service leads to its pod yet', () => {
  it('is waited for where it is answered', async () => {
    const server = createServer((socket) => socket.end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await createReach()('127.0.0.1', port)
    server.close()
  })

  /** `answers`: all others are silent. */
  const network = (answers: readonly string[]) => {
    const asked: string[] = []
    const reach = createReach(async (host) => {
      asked.push(host)
      return answers.includes(host) ? { kind: 'answered' } : { kind: 'refused', why: 'no answer' }
    }, 50)
    return { reach, asked }
  }

  it('is waited for though one of them is silent again and again', async () => {
    const { reach, asked } = network(['10.0.0.1'])
    // As many as would do, were they different ones.
    await Promise.all([reach('10.0.0.9', 80), reach('10.0.0.9', 80), reach('10.0.0.9', 80)])
    asked.length = 0
    await reach('10.0.0.1', 80)
    expect(asked).to.deep.equal(['10.0.0.1'])
  })

  it('is not waited for once several are silent, as from outside of the cluster', async () => {
    const { reach, asked } = network([])
    await Promise.all([reach('10.0.0.7', 80), reach('10.0.0.8', 80), reach('10.0.0.9', 80)])
    asked.length = 0
    await reach('10.0.0.1', 80)
    expect(asked).to.deep.equal([])
  })

  it('is nothing to wait for without an address or a port', async () => {
    const reach = createReach()
    await reach(null, 80)
    await reach('127.0.0.1', undefined)
  })
})
