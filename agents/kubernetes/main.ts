/** The Kubernetes agent: the Kubernetes platform behind the agent runtime. Who calls this has read the settings. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { type AgentSettings, type RunningAgent, type StopMode, startAgent } from '../runtime/agent.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { createApi } from './api.ts'
import { holdLease, type Tenure } from './lease.ts'
import { objectsIn } from './objects-client.ts'
import { createKubernetesPlatform } from './platform.ts'
import { defaults, type KubernetesSettings } from './settings.ts'
import { connect } from './transport.ts'

export type KubernetesAgentSettings = { readonly agent: AgentSettings; readonly kubernetes: KubernetesSettings }

/**
 * With a lease, resolves at once and works when it holds it; without, when the cluster's sessions are known. `lost`: it
 * works no more, with why, and this process has to begin anew as one that waits.
 */
export const runKubernetesAgent = async (
  { agent, kubernetes }: KubernetesAgentSettings,
  log: Log,
  lost: (why: string) => void,
): Promise<RunningAgent> => {
  const start = (): Promise<RunningAgent> => startAgent(agent, createKubernetesPlatform(kubernetes, log), log)
  if (kubernetes.lease ?? defaults.lease) return startWithLease({ agent, kubernetes }, log, lost, start)
  return start()
}

const startWithLease = async (
  { agent, kubernetes }: KubernetesAgentSettings,
  log: Log,
  lost: (why: string) => void,
  start: () => Promise<RunningAgent>,
): Promise<RunningAgent> => {
  const transport = connect(kubernetes.kubeconfig ?? null)
  // Its own connections and few tries: a renewal does not queue behind a thousand sessions.
  const api = createApi(transport, { parallel: 2, timeoutMs: 3_000, attempts: 1 })
  const objects = objectsIn(api, kubernetes.namespace ?? defaults.namespace)
  const over = new AbortController()
  const applicant = { name: leaseName(agent.agentId), holder: `${hostname()}_${randomUUID().slice(0, 8)}` }
  let tenure: Tenure | null = null
  let running: RunningAgent | null = null

  const work = async (): Promise<void> => {
    tenure = await holdLease(objects, applicant, over.signal, log)
    if (tenure === null) return
    void tenure.lost.then((why) => {
      if (over.signal.aborted) return
      log.error({ why }, 'this replica works no more')
      lost(`this replica works no more: ${why}`)
    })
    running = await start()
  }
  const working = work()
  working.catch((error: unknown) => {
    log.error({ err: error }, 'the agent could not be started')
    lost(`the agent could not be started: ${messageOf(error)}`)
  })

  const stop = async (mode: StopMode): Promise<void> => {
    over.abort()
    await working.catch(() => {})
    await running?.stop(mode)
    // Only now: whoever takes it may begin at once.
    await tenure?.release()
    transport.close()
  }
  let stopped: Promise<void> | null = null
  return {
    connected: () => running?.connected() ?? false,
    stop: (mode) => {
      stopped ??= stop(mode)
      return stopped
    },
  }
}

/** Ids may have capitals and underscores, which names may not: kept apart from what it could be mistaken for. */
const leaseName = (agentId: string): string => {
  const plain = agentId.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-')
  const suffix = plain === agentId ? '' : `-${Buffer.from(agentId).toString('hex').slice(0, 40)}`
  return `streamspace-agent-${plain}${suffix}`
}
