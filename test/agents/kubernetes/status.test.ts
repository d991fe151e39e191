/** How a session is, from what the cluster says: a table, each line as a cluster has said it. */
import { expect } from 'chai'
import type { SessionRecord } from '../../../agents/kubernetes/record.ts'
import { type Situation, weigh } from '../../../agents/kubernetes/status.ts'
import type { ContainerView, DeploymentView, PodView } from '../../../agents/kubernetes/views.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

type Restart = { readonly policy: 'never' | 'on-failure' | 'always'; readonly maxRetries?: number }

const aRecord = (restart?: Restart, more: Partial<SessionRecord> = {}): SessionRecord => ({
  version: 1,
  generation: 1,
  desired: target(aSessionId(), restart === undefined ? {} : { restart }).desired,
  settled: true,
  phase: 'up',
  start: 1,
  restarts: 0,
  forgiven: 0,
  counted: {},
  address: null,
  observed: { status: 'running' },
  ...more,
})

const aDeployment = (more: Partial<DeploymentView> = {}): DeploymentView => ({
  seen: { uid: 'd', resourceVersion: '1' },
  agent: 'agent-a',
  owner: 'a',
  generation: 1,
  start: 1,
  hasAnnotations: true,
  stamp: 's',
  replicas: 1,
  going: false,
  refusal: null,
  ...more,
})

const aContainer = (more: Partial<ContainerView> = {}): ContainerView => ({
  id: 'c1',
  imageId: null,
  state: 'running',
  waiting: null,
  ended: null,
  endedBefore: null,
  restarts: 0,
  ready: true,
  ...more,
})

const aPod = (container: Partial<ContainerView> | null = {}, more: Partial<PodView> = {}): PodView => ({
  uid: 'p1',
  name: 'session-x',
  start: 1,
  createdAt: '2026-01-01T00:00:00Z',
  going: false,
  phase: 'Running',
  reason: '',
  message: '',
  node: 'n1',
  unschedulable: null,
  container: container === null ? null : aContainer(container),
  ran: true,
  runningSince: 0,
  agent: 'agent-a',
  released: false,
  wasOurs: true,
  departed: false,
  ...more,
})

const waiting = (reason: string, message: string): PodView =>
  aPod({ state: 'waiting', ready: false, waiting: { reason, message } })
const ended = (exitCode: number, reason = 'Error', more: Partial<ContainerView> = {}) =>
  aPod({ state: 'terminated', ready: false, ended: { reason, exitCode, output: 'the end', ranMs: 10 }, ...more })

const see = (situation: Partial<Situation>) =>
  weigh({
    record: aRecord(),
    deployment: aDeployment(),
    pods: [],
    events: new Map(),
    wasReady: null,
    healthyAfterMs: 600_000,
    now: 1_000,
    ...situation,
  })

const failures: readonly [string, PodView, string, string][] = [
  ['an image that is not there', waiting('ErrImagePull', 'manifest for x:y not found'), 'image_not_found', 'x:y'],
  ['an image with an impossible name', waiting('InvalidImageName', 'couldn’t parse'), 'image_not_found', 'parse'],
  [
    'an image whose user is root',
    waiting('CreateContainerConfigError', 'container has runAsNonRoot and image will run as root'),
    'rejected',
    'container.user',
  ],
  ['a program that ended badly', ended(3), 'exited_early', 'exit code 3'],
  ['a program that took too much memory', ended(137, 'OOMKilled'), 'out_of_memory', 'more than its 256 MiB of memory'],
  [
    'an evicted pod',
    aPod(null, { phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' }),
    'evicted',
    'low on memory',
  ],
  ['a lost node', aPod({}, { reason: 'NodeLost', message: 'unresponsive' }), 'node_lost', 'n1'],
  ['a pod that somebody deleted', aPod({}, { going: true }), 'removed_outside', 'from outside'],
]

const starts: readonly [string, readonly PodView[], string, string, Partial<DeploymentView>?][] = [
  ['no pod yet', [], 'starting', 'make a pod'],
  [
    'no place for it',
    [aPod(null, { unschedulable: '0/3 nodes are available: 3 Insufficient memory.' })],
    'unschedulable',
    '0/3 nodes are available: 3 Insufficient memory.',
  ],
  ['a registry that is away', [waiting('ErrImagePull', 'dial tcp: lookup registry')], 'image_pull_failed', 'dial tcp'],
  ['a container that is made', [waiting('ContainerCreating', '')], 'starting', 'being made'],
  ['a crash loop within its limit', [waiting('CrashLoopBackOff', 'back-off 20s')], 'restarting', 'back-off 20s'],
  ['a port that is not open yet', [aPod({ ready: false })], 'starting', 'probe'],
  [
    'a quota that is used up',
    [],
    'quota_exceeded',
    'limited: pods=3',
    { refusal: 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3' },
  ],
  ['a refusal of another kind', [], 'platform_error', 'said no', { refusal: 'admission webhook said no' }],
]

describe('how a session on Kubernetes is', () => {
  for (const [name, pod, reason, words] of failures)
    it(`${name} is ${reason}`, () => {
      const seen = see({ pods: [pod] })
      expect(seen).to.include({ kind: 'over', status: 'failed', reason })
      expect(seen).to.have.property('message').that.includes(words)
    })

  for (const [name, pods, reason, words, deployment] of starts)
    it(`${name} is starting, ${reason}`, () => {
      const seen = see({ pods, deployment: aDeployment(deployment) })
      expect(seen).to.include({ kind: 'starting', reason })
      expect(seen).to.have.property('message').that.includes(words)
    })

  it('a ready pod runs; one that was ready is only busy', () => {
    expect(see({ pods: [aPod()] })).to.include({ kind: 'running' })
    expect(see({ pods: [aPod({ ready: false })], wasReady: 'c1' })).to.include({ kind: 'running' })
  })

  it('a program that ended well is stopped, with its exit code', () => {
    expect(see({ pods: [ended(0, 'Completed')] })).to.deep.include({
      kind: 'over',
      status: 'stopped',
      reason: 'exited_early',
      exit: { kind: 'code', code: 0 },
    })
  })

  it('within its limit it is started again and counted once, above it it has failed', () => {
    const restart = { policy: 'on-failure', maxRetries: 2 } as const
    const pod = ended(7, 'Error', { restarts: 1 })
    const seen = see({ record: aRecord(restart), pods: [pod] })
    expect(seen).to.deep.include({ kind: 'restarting', restarts: 2, counted: { p1: 2 } })
    expect(see({ record: aRecord(restart, { restarts: 2, counted: { p1: 2 } }), pods: [pod] })).to.include({
      kind: 'starting',
    })
    const more = ended(7, 'Error', { restarts: 2 })
    expect(see({ record: aRecord(restart, { restarts: 2, counted: { p1: 2 } }), pods: [more] })).to.include({
      kind: 'over',
      reason: 'restart_limit',
    })
    // Two of its endings were heard of together.
    expect(see({ record: aRecord(restart, { restarts: 1, counted: { p1: 1 } }), pods: [more] })).to.include({
      kind: 'over',
      restarts: 2,
    })
  })

  it('an ending that was never told as one is counted when its container waits to be started again', () => {
    const crashed = { reason: 'Error', exitCode: 3, output: null, ranMs: 10 }
    const waits = { reason: 'CrashLoopBackOff', message: 'back-off 20s' }
    const pods = [aPod({ state: 'waiting', ready: false, waiting: waits, ended: crashed, restarts: 2 })]
    const policy = { policy: 'on-failure', maxRetries: 3 } as const
    const record = aRecord(policy, { restarts: 2, counted: { p1: 2 } })
    expect(see({ pods, record })).to.deep.include({ kind: 'restarting', restarts: 3, counted: { p1: 3 } })
    const counted = aRecord(policy, { restarts: 3, counted: { p1: 3 } })
    expect(see({ pods, record: counted })).to.include({ kind: 'starting', reason: 'restarting' })
    const started = [aPod({ ended: crashed, restarts: 3 })]
    expect(see({ pods: started, record: counted })).to.include({ kind: 'running' })
    const last = aRecord({ policy: 'on-failure', maxRetries: 2 }, { restarts: 2, counted: { p1: 2 } })
    expect(see({ pods, record: last })).to.include({ kind: 'over', reason: 'restart_limit', restarts: 2 })
  })

  it('a program that was killed twice took too much memory both times where that was seen of the first, and neither is counted', () => {
    const killed = (reason: string) => ({ reason, exitCode: 137, output: null, ranMs: 10 })
    const pods = [ended(137, 'Error', { endedBefore: killed('OOMKilled'), restarts: 1 })]
    expect(see({ pods })).to.include({ kind: 'over', reason: 'out_of_memory' })
    const earlier = aRecord({ policy: 'never' }, { restarts: 1, counted: { p1: 1 } })
    expect(see({ pods, record: earlier })).to.include({ kind: 'over', reason: 'exited_early' })
    for (const other of [
      ended(137, 'Error', { endedBefore: killed('Error'), restarts: 1 }),
      ended(3, 'Error', { endedBefore: killed('OOMKilled'), restarts: 1 }),
    ])
      expect(see({ pods: [other] })).to.include({ kind: 'over', reason: 'exited_early' })
  })

  it('restarts before it was well for long no longer count', () => {
    const pod = aPod({
      ready: false,
      state: 'terminated',
      ended: { reason: 'Error', exitCode: 1, output: null, ranMs: 700_000 },
    })
    const record = aRecord({ policy: 'always', maxRetries: 2 }, { restarts: 2 })
    expect(see({ record, pods: [pod] })).to.include({ kind: 'restarting', restarts: 3, forgiven: 2 })
  })

  it('one that was well for long and is then taken away has its restarts forgiven, whoever took it', () => {
    const record = aRecord({ policy: 'always', maxRetries: 2 }, { restarts: 2 })
    for (const pods of [
      [aPod({}, { going: true })],
      [aPod(null, { going: true, departed: true, phase: 'Failed' })],
      [aPod(null, { phase: 'Failed', reason: 'Evicted' })],
    ]) {
      expect(see({ pods, record, now: 500_000 })).to.include({ kind: 'over' })
      expect(see({ pods, record, now: 700_000 })).to.include({ kind: 'restarting', restarts: 3, forgiven: 2 })
    }
    const pods = [aPod()]
    expect(see({ deployment: null, pods, record, now: 500_000 })).to.include({ answer: 'over' })
    expect(see({ deployment: null, pods, record, now: 700_000 })).to.include({ answer: 'again', forgiven: 2 })
  })

  it('an earlier crash says nothing of how long it ran when it is taken away', () => {
    const record = aRecord({ policy: 'always', maxRetries: 2 }, { restarts: 2, counted: { p1: 1 } })
    const crashed = { reason: 'Error', exitCode: 1, output: null, ranMs: 10 }
    const pods = [aPod({ restarts: 1, ended: crashed }, { going: true })]
    // Its one ending is counted; that it goes is no second one, as no container has ended since.
    expect(see({ pods, record, now: 700_000 })).to.include({ kind: 'starting' })
  })

  it('scaled to nothing while no agent looked, it is judged as one whose Deployment was removed', () => {
    const deployment = aDeployment({ replicas: 0 })
    expect(see({ deployment })).to.include({ kind: 'missing', answer: 'over' })
    expect(see({ deployment, record: aRecord({ policy: 'always' }) })).to.include({ answer: 'again', isCounted: false })
    const again = aRecord({ policy: 'always', maxRetries: 1 }, { restarts: 1, again: 1 })
    expect(see({ deployment, record: again })).to.include({ answer: 'again', isCounted: true })
    expect(see({ deployment: null, record: again })).to.include({ answer: 'again', isCounted: true })
    // Its pod has ended, which is counted: it is put back.
    expect(see({ deployment, record: aRecord({ policy: 'always' }, { counted: { p1: 1 } }) })).to.include({
      kind: 'starting',
    })
  })

  it('pods of an earlier start say nothing', () => {
    expect(see({ record: aRecord(undefined, { start: 2 }), pods: [ended(1)] })).to.include({ kind: 'starting' })
  })

  it('without its Deployment it is made again, or is over, as its policy says', () => {
    expect(see({ deployment: null })).to.include({ kind: 'missing', answer: 'over' })
    expect(see({ deployment: null, record: aRecord({ policy: 'always' }) })).to.include({ answer: 'again' })
    const often = aRecord({ policy: 'always', maxRetries: 1 }, { restarts: 1 })
    expect(see({ deployment: null, record: often })).to.include({ answer: 'over' })
  })

  it('a removal of which its pod has told first is one removal', () => {
    const going = [aPod({ state: 'terminated' }, { going: true })]
    const before = aRecord({ policy: 'always', maxRetries: 1 })
    expect(see({ deployment: null, pods: going, record: before })).to.include({ answer: 'again', isCounted: false })
    const after = aRecord({ policy: 'always', maxRetries: 1 }, { restarts: 1, counted: { p1: 1 } })
    expect(see({ deployment: null, pods: going, record: after })).to.include({ answer: 'again', isCounted: true })
    expect(see({ deployment: null, pods: [...going, aPod({}, { uid: 'p2' })], record: after })).to.include({
      answer: 'over',
      isCounted: false,
    })
  })
})
