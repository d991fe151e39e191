/** How many requests a session's life costs the API server: created, running, deleted; and what a night in between adds. */
import { randomUUID } from 'node:crypto'
import { createKubernetesPlatform } from '../../../../agents/kubernetes/platform.ts'
import type { Desired } from '../../../../agents/protocol.ts'
import type { SessionId } from '../../../../domain/ids.ts'
import type { Measure } from '../../measure.ts'
import { namespaceFor } from './bare-kubernetes.ts'
import { desiredOf } from './blueprint.ts'
import { startKubernetes } from './engines.ts'

const LIVES = 5
const AT_MOST = 12
type State = Desired['state']
const LIFE: readonly State[] = ['running', 'deleted']
const WITH_A_NIGHT: readonly State[] = ['running', 'hibernated', 'running', 'deleted']
const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0)
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
    const live = async (states: readonly State[]): Promise<readonly number[]> => {
      const sessionId = randomUUID() as SessionId
      const calls: number[] = []
      for (const [index, state] of states.entries()) {
        const before = platform.calls()
        const applied = await platform.apply({ sessionId, generation: index + 1, desired: desiredOf(state) }, context)
        if (applied.kind !== 'applied') throw new Error(`${state}: ${JSON.stringify(applied)}`)
        calls.push(platform.calls() - before)
      }
      return calls
    }
    const dearest = async (states: readonly State[]) => {
      let most: readonly number[] = []
      for (let life = 0; life < LIVES; life += 1) {
        const calls = await live(states)
        if (sum(calls) > sum(most)) most = calls
      }
      return { figure: sum(most), note: `${most.join(' + ')}: ${states.join(', ')}` }
    }
    const plain = await dearest(LIFE)
    const nightly = await dearest(WITH_A_NIGHT)
    return {
      lines: [
        { what: "API server, a session's life", unit: 'calls', bar: { atMost: AT_MOST }, ...plain },
        { what: "API server, a session's life with a night", unit: 'calls', bar: null, ...nightly },
      ],
      details: { plain, nightly },
      doubts: [],
    }
  },
}
