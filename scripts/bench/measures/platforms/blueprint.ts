/** A session of the template as an agent is asked for it, without a server. */

import { readContainerSpec } from '../../../../agents/container/spec.ts'
import type { Blueprint } from '../../../../agents/kubernetes/parts.ts'
import { defaults } from '../../../../agents/kubernetes/settings.ts'
import type { Desired, WireSpec } from '../../../../agents/protocol.ts'
import type { SessionId } from '../../../../domain/ids.ts'
import { platformTemplate } from './template.ts'

export const desiredOf = (state: Desired['state'] = 'running'): Desired => ({
  state,
  incarnation: 0,
  persistentHome: true,
  orgId: 'bench',
  userId: 'bench',
  name: 'bench',
  template: { name: platformTemplate.name, version: 1 },
  spec: { ...platformTemplate.spec, resources: platformTemplate.resources, env: {} } as WireSpec,
})

export const blueprintOf = (
  sessionId: SessionId,
  { agentId, namespace, owner }: { readonly agentId: string; readonly namespace: string; readonly owner: string },
): Blueprint => {
  const desired = desiredOf()
  const read = readContainerSpec(desired, [])
  if (read.kind === 'refused') throw new Error(read.message)
  const settings = { ...defaults, agentId, namespace }
  return { sessionId, settings, owner, start: 1, generation: 1, desired, container: read.spec }
}
