/**
 * What a session consists of beside its Deployment, as pure functions: where its environment, its home and its
 * address are, and who may reach it. Everything is owned by its ConfigMap, so that one delete takes all.
 */
import { createHash } from 'node:crypto'
import type {
  V1Ingress,
  V1NetworkPolicy,
  V1ObjectMeta,
  V1OwnerReference,
  V1PersistentVolumeClaim,
  V1Secret,
  V1Service,
} from '@kubernetes/client-node'
import type { SessionId } from '../../domain/ids.ts'
import type { ContainerSpec } from '../container/spec.ts'
import type { Desired } from '../protocol.ts'
import { labelsOf, nameOf, SESSION_LABEL, START } from './names.ts'
import { SESSION_IN_HOST, type Settings } from './settings.ts'

/** All that objects are made from. */
export type Blueprint = {
  readonly sessionId: SessionId
  readonly settings: Settings
  /** The uid of the session's ConfigMap. */
  readonly owner: string
  readonly start: number
  readonly generation: number
  readonly desired: Desired
  readonly container: ContainerSpec
}

export const ownedBy = (name: string, uid: string): V1OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name,
  uid,
  // The ConfigMap stays, while it is being deleted, until this is gone: its end is the end of everything.
  blockOwnerDeletion: true,
})

export const metadataOf = ({ sessionId, settings, owner, start }: Blueprint): V1ObjectMeta => {
  const name = nameOf(sessionId)
  return {
    name,
    labels: labelsOf(sessionId, settings.agentId),
    annotations: { [START]: String(start) },
    ownerReferences: [ownedBy(name, owner)],
  }
}

const TOKEN = 'STREAMSPACE_ACCESS_TOKEN'

/** The whole environment: which of it is secret cannot be told from a command. */
export const secretOf = (blueprint: Blueprint, environment: { readonly [name: string]: string }): V1Secret => ({
  metadata: metadataOf(blueprint),
  type: 'Opaque',
  // Not `stringData`: of that server-side apply does not know what it may take away again.
  data: Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, Buffer.from(value, 'utf8').toString('base64')]),
  ),
})

export const tokenIn = (secret: V1Secret): string | null => {
  const encoded = secret.data?.[TOKEN]
  return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString('utf8')
}

export const claimOf = (blueprint: Blueprint): V1PersistentVolumeClaim => {
  const { storageClass } = blueprint.settings
  return {
    metadata: metadataOf(blueprint),
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: `${blueprint.container.home.sizeMib}Mi` } },
      ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
    },
  }
}

/** null: nothing to reach. */
export const serviceOf = (blueprint: Blueprint): V1Service | null => {
  const { ports } = blueprint.container
  if (ports.length === 0) return null
  return {
    metadata: metadataOf(blueprint),
    spec: {
      type: 'ClusterIP',
      selector: { [SESSION_LABEL]: blueprint.sessionId },
      ports: ports.map(({ name, port }) => ({ name, port, targetPort: port, protocol: 'TCP' })),
    },
  }
}

/** Where a cloud answers whoever asks with the rights of the machine; the second is AWS's for nodes with IPv6. */
const METADATA_SERVICE = '169.254.169.254/32'
const METADATA_SERVICE_V6 = 'fd00:ec2::254/128'

/**
 * Reached on its own ports by whatever is a pod and no session, and from the networks that are set; it reaches all but the
 * metadata service and, by their own policies, other sessions.
 */
export const networkPolicyOf = (blueprint: Blueprint): V1NetworkPolicy => {
  const { ports } = blueprint.container
  const networks = blueprint.settings.allowedCidrs.map((cidr) => ({ ipBlock: { cidr } }))
  const noSession = { matchExpressions: [{ key: SESSION_LABEL, operator: 'DoesNotExist' }] }
  return {
    metadata: metadataOf(blueprint),
    spec: {
      podSelector: { matchLabels: { [SESSION_LABEL]: blueprint.sessionId } },
      policyTypes: ['Ingress', 'Egress'],
      ingress:
        ports.length === 0
          ? []
          : [
              {
                // The library calls it `_from` and has its own serialiser put that right; this is sent as it is.
                ...{ from: [{ namespaceSelector: {}, podSelector: noSession }, ...networks] },
                ports: ports.map(({ port }) => ({ protocol: 'TCP', port })),
              },
            ],
      egress: [
        {
          to: [
            { ipBlock: { cidr: '0.0.0.0/0', except: [METADATA_SERVICE] } },
            { ipBlock: { cidr: '::/0', except: [METADATA_SERVICE_V6] } },
          ],
        },
      ],
    },
  }
}

export const hostOf = (pattern: string, sessionId: SessionId): string => pattern.replace(SESSION_IN_HOST, sessionId)

/** For the first port that speaks HTTP; null where there is none, or no pattern for hosts. */
export const ingressOf = (blueprint: Blueprint): V1Ingress | null => {
  const { settings, container, sessionId } = blueprint
  const port = container.ports.find(({ protocol }) => protocol === 'http')
  if (settings.ingressHost === undefined || port === undefined) return null
  const host = hostOf(settings.ingressHost, sessionId)
  const { ingressTlsSecret: secretName, ingressClass } = settings
  return {
    metadata: metadataOf(blueprint),
    spec: {
      ...(ingressClass === undefined ? {} : { ingressClassName: ingressClass }),
      ...(secretName === undefined ? {} : { tls: [{ hosts: [host], secretName }] }),
      rules: [
        {
          host,
          http: {
            paths: [
              {
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: nameOf(sessionId), port: { number: port.port } } },
              },
            ],
          },
        },
      ],
    },
  }
}

/**
 * What parts are made from, in one word: where it is the same, they are as they should be. The environment in it cannot be
 * guessed from it, as the access token is part of it. Another incarnation makes them anew in any case.
 */
export const digestOf = (blueprint: Blueprint, environment: { readonly [name: string]: string }): string => {
  const sameStart = { ...blueprint, start: 0 }
  const parts = [
    blueprint.desired.incarnation,
    serviceOf(sameStart),
    secretOf(sameStart, environment),
    networkPolicyOf(sameStart),
    blueprint.desired.persistentHome ? claimOf(sameStart) : null,
    ingressOf(sameStart),
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}
