/**
 * Requests to the API server, one at a time: who we are and where it is comes from the library, what is sent is
 * ours alone. Content types, preconditions and the stream of a watch are what this agent stands on, and the
 * library's generated calls hide all three.
 */
import { Agent as HttpAgent, type IncomingMessage, request as overHttp, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as overHttps } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

export type Asked = {
  readonly method: Method
  /** From `/api` or `/apis` on, with its query. */
  readonly path: string
  readonly contentType?: string
  /** In which form it is to be answered. */
  readonly accept?: string
  readonly body?: string
  readonly signal?: AbortSignal
}

/** Resolves with the head of the answer; the body is the caller's to read. Rejects when nobody answers. */
export type Transport = {
  readonly send: (asked: Asked) => Promise<IncomingMessage>
  /** Where the API server is, for messages. */
  readonly server: string
  /** The namespace of the context or of the pod's account, when it names one. */
  readonly namespace: string | null
  readonly close: () => void
}

/** A kubeconfig's current context, or the account of the pod that this runs in. Throws with what to do when there is neither. */
export const connect = (kubeconfig: string | null): Transport => {
  const config = loaded(kubeconfig)
  const cluster = config.getCurrentCluster()
  if (cluster === null)
    throw new Error(`${kubeconfig ?? 'the pod'} names no cluster: check the kubeconfig's current-context`)
  const base = new URL(cluster.server)
  const secure = base.protocol === 'https:'
  const prefix = base.pathname.replace(/\/+$/, '')
  let connections: HttpAgent | null = null

  /** Asked again each time: the token of a pod's account is changed under it every hour. */
  const identity = async (): Promise<RequestOptions> => {
    const options: RequestOptions & { agent?: HttpAgent } = { headers: {} }
    await config.applyToHTTPSOptions(options as never)
    if (cluster.proxyUrl !== undefined) return options
    const { agent: _theirs, ...rest } = options
    // One that keeps its connections open: theirs makes a new one for each request.
    connections ??= secure
      ? new HttpsAgent({ ...(rest as object), keepAlive: true, scheduling: 'lifo' })
      : new HttpAgent({ keepAlive: true })
    return { ...rest, agent: connections }
  }

  return {
    server: cluster.server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? null,
    close: () => connections?.destroy(),
    send: async ({ method, path, contentType, accept, body, signal }) => {
      const options = await identity()
      const headers = {
        ...options.headers,
        accept: accept ?? 'application/json',
        'user-agent': 'streamspace-agent',
        ...(body === undefined
          ? {}
          : { 'content-type': contentType ?? 'application/json', 'content-length': Buffer.byteLength(body) }),
      }
      return new Promise((resolve, reject) => {
        const outgoing = (secure ? overHttps : overHttp)(
          {
            ...options,
            hostname: base.hostname.replace(/^\[|\]$/g, ''),
            port: base.port,
            path: `${prefix}${path}`,
            method,
            headers,
            ...(signal === undefined ? {} : { signal }),
          },
          resolve,
        )
        outgoing.once('error', reject)
        outgoing.end(body)
      })
    },
  }
}

const loaded = (kubeconfig: string | null): KubeConfig => {
  const config = new KubeConfig()
  if (kubeconfig !== null) config.loadFromFile(kubeconfig)
  else config.loadFromCluster()
  return config
}
