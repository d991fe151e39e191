/** How many requests a session's life costs the API server: created, running, hibernated, woken, deleted. */
import { randomUUID } from 'node:crypto'
import { createKubernetesPlatform } from '../../../../agents/kubernetes/platform.ts'
import type { Desired } from '../../../../agents/protocol.ts'
import type { SessionId } from '../../../../domain/ids.ts'
import type { Measure } from '../../measure.ts'
import { namespaceFor } from './bare-kubernetes.ts'
import { desiredOf } from './blueprint.ts'
import { startKubernetes } from './engines.ts'

const LIVES = 5
const LIFE: readonly Desired['state'][] = ['running', 'hibernated', 'running', 'deleted']
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export const lifeCalls: Measure = {
  name: 'kubernetes-calls',
  groups: ['platforms', 'kubernetes'],
  about: `requests to the API server in a session's life, the most of ${LIVES}; watches are not counted`,
  run: async (bench) => {
    const kubeconfig = await startKubernetes(bench)
    const { name: namespace } = await namespaceFor(bench, kubeconfig)
    const platform = createKubernetesPlatform({ agentId: 'bench-calls', kubeconfig, namespace }, quiet)
    await platform.open({ report: () => {}, activity: () => {}, degraded: () => {} })
    bench.ends('the agent in this process', platform.close)
    const context = { signal: new AbortController().signal, progress: () => {} }
    const lives: number[][] = []
    for (let life = 0; life < LIVES; life += 1) {
      const sessionId = randomUUID() as SessionId
      const calls: number[] = []
      for (const [index, state] of LIFE.entries()) {
        const before = platform.calls()
        const applied = await platform.apply({ sessionId, generation: index + 1, desired: desiredOf(state) }, context)
        if (applied.kind !== 'applied') throw new Error(`${state}: ${JSON.stringify(applied)}`)
        calls.push(platform.calls() - before)
      }
      lives.push(calls)
    }
    const sums = lives.map((calls) => calls.reduce((sum, count) => sum + count, 0))
    const most = Math.max(...sums)
    return {
      lines: [
        {
          what: "API server, a session's life",
          figure: most,
          unit: 'calls',
          bar: { atMost: 12 },
          note: `${lives[sums.indexOf(most)]?.join(' + ')}: ${LIFE.join(', ')}`,
        },
      ],
      details: { lives },
      doubts: [],
    }
  },
}
