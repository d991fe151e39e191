/** What the agent asks Kubernetes to make, checked against the pod security standard `restricted` and what a session is promised. */
import { expect } from 'chai'
import { readContainerSpec } from '../../../agents/container/spec.ts'
import { quantity, quotaCapacity } from '../../../agents/kubernetes/capacity.ts'
import { deploymentOf } from '../../../agents/kubernetes/deployment.ts'
import {
  type Blueprint,
  claimOf,
  digestOf,
  ingressOf,
  networkPolicyOf,
  secretOf,
  serviceOf,
} from '../../../agents/kubernetes/parts.ts'
import { withoutEnvironment } from '../../../agents/kubernetes/record.ts'
import { refusalOf } from '../../../agents/kubernetes/refuse.ts'
import { defaults, type KubernetesSettings, kubernetesSettingsFrom } from '../../../agents/kubernetes/settings.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

const blueprint = (
  container: object = {},
  spec: object = {},
  settings: Partial<KubernetesSettings> = {},
): Blueprint => {
  const sessionId = aSessionId()
  const { desired } = target(sessionId, {
    container: { image: 'busybox:1', user: 1000, ...container },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    ...spec,
  } as never)
  const read = readContainerSpec(desired, [])
  if (read.kind === 'refused') throw new Error(read.message)
  return {
    sessionId,
    settings: { ...defaults, agentId: 'a', ...settings },
    owner: 'owner-uid',
    start: 1,
    generation: 1,
    desired,
    container: read.spec,
  }
}

const podOf = (about: Blueprint) => deploymentOf(about, 1, 'stamp').spec?.template

describe('objects of a session on Kubernetes', () => {
  it('pods fulfil `restricted`', () => {
    const pod = podOf(
      blueprint({ security: { capabilities: ['NET_BIND_SERVICE'], readOnlyRootFilesystem: true } }),
    )?.spec
    const container = pod?.containers[0]
    expect(pod?.securityContext).to.deep.include({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(container?.securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
    })
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers', 'ephemeralContainers'])
      expect(pod).not.to.have.property(field)
    const allowed = [
      'configMap',
      'csi',
      'downwardAPI',
      'emptyDir',
      'ephemeral',
      'persistentVolumeClaim',
      'projected',
      'secret',
    ]
    for (const { name: _name, ...volume } of pod?.volumes ?? []) expect(allowed).to.include(Object.keys(volume)[0])
    for (const port of container?.ports ?? []) expect(port).not.to.have.property('hostPort')
  })

  it('pods get no token of an account, no environment but their own, and one at a time', () => {
    const deployment = deploymentOf(blueprint(), 0, 'stamp')
    expect(deployment.spec).to.deep.include({ replicas: 0, strategy: { type: 'Recreate' } })
    expect(deployment.spec?.template.spec).to.include({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
    })
    expect(deployment.spec?.template.spec?.containers[0]).not.to.have.property('env')
  })

  it('everything is owned by the session’s ConfigMap, which waits for it', () => {
    const about = blueprint({}, {}, { ingressHost: '{session}.example.org' })
    const parts = [
      deploymentOf(about, 1, 's'),
      secretOf(about, {}),
      claimOf(about),
      serviceOf(about),
      networkPolicyOf(about),
      ingressOf(about),
    ]
    for (const part of parts)
      expect(part?.metadata?.ownerReferences?.[0]).to.include({
        uid: 'owner-uid',
        kind: 'ConfigMap',
        blockOwnerDeletion: true,
      })
  })

  it('sessions are reached on their ports by what is no session, and reach no metadata service', () => {
    const { spec } = JSON.parse(JSON.stringify(networkPolicyOf(blueprint())))
    expect(spec.policyTypes).to.deep.equal(['Ingress', 'Egress'])
    expect(spec.ingress).to.deep.equal([
      {
        from: [
          {
            namespaceSelector: {},
            podSelector: { matchExpressions: [{ key: 'streamspace.io/session-id', operator: 'DoesNotExist' }] },
          },
        ],
        ports: [{ protocol: 'TCP', port: 8080 }],
      },
    ])
    expect(spec.egress[0].to).to.deep.equal([
      { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.169.254/32'] } },
      { ipBlock: { cidr: '::/0', except: ['fd00:ec2::254/128'] } },
    ])
    expect(networkPolicyOf(blueprint({}, { ports: [] })).spec?.ingress).to.deep.equal([])
  })

  it('sessions are reached from networks that are set, on the same ports, and from no others', () => {
    const allowedCidrs = ['10.0.0.0/16', '2001:db8::/64']
    const { spec } = JSON.parse(JSON.stringify(networkPolicyOf(blueprint({}, {}, { allowedCidrs }))))
    expect(spec.ingress).to.have.length(1)
    expect(spec.ingress[0].ports).to.deep.equal([{ protocol: 'TCP', port: 8080 }])
    expect(spec.ingress[0].from.slice(1)).to.deep.equal([
      { ipBlock: { cidr: '10.0.0.0/16' } },
      { ipBlock: { cidr: '2001:db8::/64' } },
    ])
    expect(networkPolicyOf(blueprint({}, { ports: [] }, { allowedCidrs })).spec?.ingress).to.deep.equal([])
  })

  it('parts are as they should be while nothing that they are made from has changed', () => {
    const about = blueprint()
    const digest = digestOf(about, { A: 'a' })
    expect(digestOf({ ...about, start: 7, generation: 9 }, { A: 'a' })).to.equal(digest)
    const others = [
      digestOf(about, { A: 'b' }),
      digestOf({ ...about, owner: 'another' }, { A: 'a' }),
      digestOf({ ...about, desired: { ...about.desired, incarnation: 1 } }, { A: 'a' }),
      digestOf({ ...about, container: { ...about.container, ports: [] } }, { A: 'a' }),
      digestOf({ ...about, settings: { ...about.settings, ingressHost: '{session}.example.org' } }, { A: 'a' }),
      digestOf({ ...about, settings: { ...about.settings, allowedCidrs: ['10.0.0.0/8'] } }, { A: 'a' }),
    ]
    expect(new Set([digest, ...others])).to.have.property('size', others.length + 1)
  })

  it('the record has no environment', () => {
    const { desired } = blueprint({ env: { A: 'secret-a' } }, { env: { B: 'secret-b' } })
    expect(JSON.stringify(withoutEnvironment(desired))).not.to.include('secret-')
  })

  it('a home that is not kept is the pod’s own', () => {
    const about = blueprint()
    const gone = { ...about, desired: { ...about.desired, persistentHome: false } }
    expect(podOf(gone)?.spec?.volumes?.[0]).to.have.property('emptyDir')
    expect(podOf(about)?.spec?.volumes?.[0]).to.have.property('persistentVolumeClaim')
  })

  it('what pods here are not given is refused in words', () => {
    const refused = (container: object, spec: object = {}): string | null => {
      const about = blueprint(container, spec)
      return refusalOf(about.desired, about.container)
    }
    expect(refused({})).to.equal(null)
    expect(refused({ user: 0 })).to.include('root')
    expect(refused({ security: { capabilities: ['CHOWN'] } })).to.include('CHOWN')
    const twice = [
      { name: 'a', port: 80 },
      { name: 'b', port: 80 },
    ]
    expect(refused({}, { ports: twice })).to.include('80')
    expect(refused({}, { kubernetes: { nodeSelector: { a: 1 } } })).to.include('nodeSelector')
    expect(refused({}, { kubernetes: { gpu: -1 } })).to.include('gpu')
  })

  it('quantities are read as Kubernetes writes them, and a quota is the capacity', () => {
    expect([quantity('500m'), quantity('2Gi'), quantity('3'), quantity('x')]).to.deep.equal([0.5, 2 ** 31, 3, null])
    expect(
      quotaCapacity([{ spec: { hard: { pods: '20', 'requests.cpu': '2', 'requests.memory': '4Gi' } } }]),
    ).to.deep.equal({
      maxSessions: 20,
      cpuMillis: 16_000,
      memoryMib: 4_096,
    })
  })

  it('a quota that is for other pods than those of sessions is no capacity', () => {
    const hard = { pods: '20' }
    const selector = (scopeName: string, operator: string, values?: string[]) => ({
      matchExpressions: [{ scopeName, operator, ...(values === undefined ? {} : { values }) }],
    })
    const others = [
      { scopes: ['Terminating'] },
      { scopes: ['BestEffort'] },
      { scopes: ['NotTerminating', 'BestEffort'] },
      { scopeSelector: selector('PriorityClass', 'In', ['high']) },
      { scopeSelector: selector('Terminating', 'Exists') },
      { scopes: ['NotTerminating'], scopeSelector: selector('PriorityClass', 'Exists') },
    ]
    for (const scope of others)
      expect(quotaCapacity([{ spec: { hard, ...scope } }]), JSON.stringify(scope)).to.deep.equal({})
    const ours = [
      {},
      { scopes: [] },
      { scopes: ['NotTerminating', 'NotBestEffort'] },
      { scopeSelector: selector('NotTerminating', 'Exists') },
      { scopeSelector: { matchExpressions: [] } },
    ]
    for (const scope of ours)
      expect(quotaCapacity([{ spec: { hard, ...scope } }]), JSON.stringify(scope)).to.deep.equal({ maxSessions: 20 })
  })

  it('a quota of more than the protocol can say is as much as it can say', () => {
    const hard = { pods: '9999999999', 'requests.cpu': '2000000k', 'requests.memory': '4096Pi' }
    const most = 2_147_483_647
    expect(quotaCapacity([{ spec: { hard } }])).to.deep.equal({ maxSessions: most, cpuMillis: most, memoryMib: most })
  })

  it('wrong settings are named, each with what it must be', () => {
    const wrong = kubernetesSettingsFrom(
      { STREAMSPACE_NAMESPACE: 'No!', STREAMSPACE_INGRESS_HOST: 'apps.example.org' },
      'a',
    )
    expect(wrong).to.have.property('left').that.has.length(3)
    const right = kubernetesSettingsFrom(
      { KUBECONFIG: '/x', STREAMSPACE_INGRESS_HOST: '{session}.apps.example.org' },
      'a',
    )
    expect(right).to.have.nested.property('right.ingressHost', '{session}.apps.example.org')
  })

  it('networks are taken in both families, and what the API server would refuse is named', () => {
    const read = (text: string) => kubernetesSettingsFrom({ KUBECONFIG: '/x', STREAMSPACE_ALLOWED_CIDRS: text }, 'a')
    expect(read('10.0.0.0/16, 2001:db8::/64,192.0.2.7/32'))
      .to.have.nested.property('right.allowedCidrs')
      .that.deep.equals(['10.0.0.0/16', '2001:db8::/64', '192.0.2.7/32'])
    for (const text of [
      '10.0.0.0',
      '10.0.0.0/33',
      '10.0.0/8',
      '2001:db8::/129',
      'fe80::1%eth0/64',
      '10.0.0.0/08',
      'a/8',
      ',',
    ])
      expect(read(text), text).to.have.nested.property('left[0]').that.includes('STREAMSPACE_ALLOWED_CIDRS')
  })
})
