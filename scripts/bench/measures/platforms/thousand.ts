/** What an agent holds of a thousand sessions: its memory above that of its libraries, and its inventory. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { V1ConfigMap } from '@kubernetes/client-node'
import { connectEngine } from '../../../../agents/docker/engine.ts'
import { anchorLabels, anchorName, newToken } from '../../../../agents/docker/names.ts'
import { ANCHOR_IMAGE, ensureAnchorImage } from '../../../../agents/docker/ownership.ts'
import { createDockerPlatform } from '../../../../agents/docker/platform.ts'
import { deploymentOf } from '../../../../agents/kubernetes/deployment.ts'
import { kinds } from '../../../../agents/kubernetes/kinds.ts'
import { objectsIn } from '../../../../agents/kubernetes/objects-client.ts'
import { createKubernetesPlatform } from '../../../../agents/kubernetes/platform.ts'
import { anchorOf } from '../../../../agents/kubernetes/record.ts'
import { running } from '../../../../agents/runtime/observed.ts'
import type { Platform } from '../../../../agents/runtime/platform.ts'
import type { SessionId } from '../../../../domain/ids.ts'
import type { Bench } from '../../bench.ts'
import { startInstallation } from '../../installation.ts'
import type { Line, Measure } from '../../measure.ts'
import { median } from '../../percentiles.ts'
import { residentMib } from '../../processes.ts'
import { startProgram, until } from '../../program.ts'
import { doubtsOf } from '../doubts.ts'
import { namespaceFor } from './bare-kubernetes.ts'
import { blueprintOf, desiredOf } from './blueprint.ts'
import { startControlPlane, startDocker } from './engines.ts'
import { startPlatformAgent } from './product.ts'
import { atMost } from './side.ts'

const SESSIONS = 1_000
const ABOVE_LIBRARIES_MIB = 60
const SETTLED_MS = 20_000
const SAMPLES = 10
const MADE_AT_ONCE = 16
const PODS_WITHIN_MS = 600_000
const INVENTORIES = 20
const LIBRARIES = fileURLToPath(new URL('libraries.ts', import.meta.url))
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const listener = { report: () => {}, activity: () => {}, degraded: () => {} }

type Held = {
  readonly env: { readonly [name: string]: string }
  /** Another agent, in this process: for what can only be seen from inside. */
  readonly platform: () => Platform & { readonly calls?: () => number }
}

const resident = async (bench: Bench, pid: number): Promise<number> => {
  await wait(SETTLED_MS * bench.scale)
  const samples: number[] = []
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    samples.push(await residentMib(pid))
    await wait(500)
  }
  return median(samples)
}

const librariesMib = async (bench: Bench, platform: string): Promise<number> => {
  const program = await startProgram(bench, {
    what: `the libraries of the ${platform} agent`,
    command: process.execPath,
    args: [LIBRARIES, platform],
    env: {},
  })
  await program.line((line) => (line === 'imported' ? line : null), 30_000)
  const mib = await resident(bench, program.pid)
  await program.stop()
  return mib
}

const inventoryOf = async (count: number, platform: ReturnType<Held['platform']>) => {
  await platform.open(listener)
  try {
    const before = platform.calls?.() ?? 0
    const ms: number[] = []
    for (let round = 0; round < INVENTORIES; round += 1) {
      const began = performance.now()
      const { length } = await platform.inventory()
      ms.push(performance.now() - began)
      if (length !== count) throw new Error(`an inventory of ${length} sessions, not ${count}`)
    }
    return { ms: median(ms), calls: platform.calls === undefined ? null : platform.calls() - before }
  } finally {
    await platform.close()
  }
}

const thousand = (name: 'docker' | 'kubernetes', title: string, hold: (bench: Bench) => Promise<Held>): Measure => ({
  name: `${name}-thousand`,
  groups: ['platforms', name],
  about: `memory and inventory of the ${title} agent with ${SESSIONS.toLocaleString('en')} sessions`,
  run: async (bench) => {
    const libraries = await librariesMib(bench, name)
    const { env, platform } = await hold(bench)
    const installation = await startInstallation(bench, { agents: 0 })
    const agent = await startPlatformAgent(bench, installation, name, env)
    const held = await resident(bench, agent.pid)
    await agent.stop()
    const { ms, calls } = await inventoryOf(SESSIONS, platform())
    const lines: readonly Line[] = [
      { what: `libraries of the ${title} agent alone`, figure: libraries, unit: 'MiB', bar: null },
      { what: `${title} agent, ${SESSIONS} sessions`, figure: held, unit: 'MiB', bar: null },
      {
        what: `${title} agent, above its libraries`,
        figure: held - libraries,
        unit: 'MiB',
        bar: { atMost: ABOVE_LIBRARIES_MIB },
      },
      { what: `inventory of ${SESSIONS}, ${title}`, figure: ms, unit: 'ms', bar: null },
      ...(calls === null
        ? []
        : [{ what: `inventory of ${SESSIONS}, ${title}`, figure: calls, unit: 'calls', bar: { atMost: 0 } } as const]),
    ]
    return {
      lines,
      details: { libraries, held, ms, calls },
      postgres: installation.database.settings,
      // Its database has never heard of them, and that it says so is right.
      doubts: doubtsOf(installation, []).filter((doubt) => !doubt.includes('(orphans)')),
    }
  },
})

const ids = (): readonly SessionId[] => Array.from({ length: SESSIONS }, () => randomUUID() as SessionId)

/** As hibernated sessions are on an engine: their anchors alone, made here without the agent's patience. */
const holdOnDocker = async (bench: Bench): Promise<Held> => {
  const host = await startDocker(bench)
  const agentId = 'bench-docker'
  const engine = connectEngine(host)
  await ensureAnchorImage(engine)
  bench.ends('the anchors', async () => {
    const left = await engine.list({ label: [`streamspace.io/agent=${agentId}`] })
    await atMost(MADE_AT_ONCE, left, ({ id }) => engine.remove(id, true))
  })
  const token = newToken()
  const progress = { phase: 'hibernated', reason: '', restarts: 0, retries: 0 } as const
  await atMost(MADE_AT_ONCE, ids(), (id) =>
    engine.create(anchorName(token, id, 2, progress), {
      Image: ANCHOR_IMAGE,
      Cmd: ['/none'],
      Labels: { ...anchorLabels(agentId, id, 2, desiredOf('hibernated'), 'x'.repeat(43)) },
      HostConfig: { NetworkMode: 'none' },
    }),
  )
  return {
    env: { DOCKER_HOST: host },
    platform: () => createDockerPlatform({ agentId, dockerHost: host }, quiet),
  }
}

/** With a pod each that waits for a node, on a cluster that has none. */
const holdOnKubernetes = async (bench: Bench): Promise<Held> => {
  const kubeconfig = await startControlPlane(bench)
  const { api, name: namespace } = await namespaceFor(bench, kubeconfig)
  const objects = objectsIn(api, namespace)
  const agentId = 'bench-kubernetes'
  const desired = desiredOf()
  await atMost(MADE_AT_ONCE, ids(), async (id) => {
    const record = { generation: 1, desired, settled: true, phase: 'up', start: 1, restarts: 0, forgiven: 0 } as const
    const more = { version: 1, counted: {}, address: '10.0.0.1', observed: running(null, 0) } as const
    const made = await objects.create<V1ConfigMap>(kinds.configMap, anchorOf(id, agentId, { ...record, ...more }))
    const blueprint = blueprintOf(id, { agentId, namespace, owner: made.metadata?.uid ?? '' })
    await objects.create(kinds.deployment, deploymentOf(blueprint, 1, randomUUID()))
  })
  await until('a pod of each session', PODS_WITHIN_MS, async () => {
    const path = `/api/v1/namespaces/${namespace}/pods?limit=1`
    const { metadata, items } = await api.call<{ metadata: { remainingItemCount?: number }; items: unknown[] }>({
      method: 'GET',
      path,
    })
    return items.length + (metadata.remainingItemCount ?? 0) >= SESSIONS
  })
  return {
    env: { KUBECONFIG: kubeconfig, STREAMSPACE_NAMESPACE: namespace },
    platform: () => createKubernetesPlatform({ agentId, kubeconfig, namespace }, quiet),
  }
}

export const thousands: readonly Measure[] = [
  thousand('docker', 'Docker', holdOnDocker),
  thousand('kubernetes', 'Kubernetes', holdOnKubernetes),
]
