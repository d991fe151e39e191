import { type SessionRecord, withoutEnvironment } from '../../../../agents/kubernetes/record.ts'
import { type Life, lifeOf } from '../../../../agents/kubernetes/session-life.ts'
import type { Desired, WireObserved } from '../../../../agents/protocol.ts'
import { aSessionId, target } from '../../../support/process-agent.ts'

export const SECRET = 'marked-secret'

export const lifeWith = (record: Partial<SessionRecord>, observed: WireObserved, more: Partial<Desired> = {}): Life => {
  const life = lifeOf(aSessionId())
  const spec = {
    container: { image: 'busybox:1', env: { A: SECRET }, args: [SECRET] },
    env: { B: SECRET },
    ports: [{ name: 'http', port: 80 }],
  }
  const { desired } = target(life.sessionId, spec as never, more)
  life.anchor = {
    seen: { uid: 'anchor-uid', resourceVersion: '5' },
    going: false,
    agent: 'agent-1',
    damaged: false,
    record: {
      version: 1,
      generation: 3,
      desired: withoutEnvironment(desired),
      settled: true,
      phase: 'up',
      start: 1,
      restarts: 2,
      forgiven: 0,
      counted: {},
      address: null,
      observed,
      ...record,
    },
  }
  life.observed = observed
  return life
}

export const running: WireObserved = {
  status: 'running',
  reason: null,
  message: null,
  lastOutput: SECRET,
  restarts: 2,
  node: 'node-1',
  endpoint: { url: `http://10.0.0.1:80/?token=${SECRET}`, host: '10.0.0.1', port: 80, protocol: 'http' },
}
