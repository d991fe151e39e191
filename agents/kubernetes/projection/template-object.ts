/**
 * The templates that sessions of this agent are made from, one object a name and org: what the sessions' own
 * specs tell of them. Pure, but for the index of who uses what.
 */
import { createHash } from 'node:crypto'
import type { SessionId } from '../../../domain/ids.ts'
import type { Desired } from '../../protocol.ts'
import { kinds } from '../kinds.ts'
import { AGENT_LABEL, FIELD_MANAGER, MANAGED_BY } from '../names.ts'
import type { Life } from '../session-life.ts'
import type { Wanted } from './object.ts'
import { resourcesOf } from './session-object.ts'

/** Names of templates are an org's own, and several agents may share a namespace: the name alone would be fought over. */
export const templateName = (agentId: string, { orgId, template }: Pick<Desired, 'orgId' | 'template'>): string => {
  const hash = createHash('sha256')
    .update(JSON.stringify([agentId, orgId, template.name]))
    .digest('hex')
  return `${template.name.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')}-${hash.slice(0, 8)}`
}

export const templateLabels = (agentId: string) => ({ [AGENT_LABEL]: agentId, [MANAGED_BY]: FIELD_MANAGER })

export const templateObjectOf = (name: string, users: readonly Desired[], agentId: string): Wanted | null => {
  const newest = users.reduce<Desired | null>(
    (best, one) => (best === null || one.template.version > best.template.version ? one : best),
    null,
  )
  if (newest === null) return null
  const image = newest.spec.container?.image
  return {
    kind: kinds.template,
    name,
    mayMake: true,
    content: {
      labels: templateLabels(agentId),
      owner: null,
      spec: {
        name: newest.template.name,
        org: newest.orgId,
        version: newest.template.version,
        ...(typeof image === 'string' ? { image } : {}),
        ports: (newest.spec.ports ?? []).map(({ name: port, port: number, protocol = 'tcp' }) => ({
          name: port,
          ...(number === undefined ? {} : { port: number }),
          protocol,
        })),
        resources: resourcesOf(newest),
      },
      status: {
        sessions: users.length,
        versions: [...new Set(users.map(({ template }) => template.version))].sort((a, b) => a - b),
      },
    },
  }
}

export type TemplateUses = {
  /** Names of the template objects that this changes. */
  readonly changed: (sessionId: SessionId, life: Life | undefined) => readonly string[]
  /** In the order of session ids: the same answer whoever came first. */
  readonly of: (name: string) => readonly Desired[]
}

export const createTemplateUses = (agentId: string): TemplateUses => {
  const names = new Map<SessionId, { readonly name: string; readonly desired: Desired }>()
  const users = new Map<string, Map<SessionId, Desired>>()

  const leave = (sessionId: SessionId, name: string): void => {
    const all = users.get(name)
    all?.delete(sessionId)
    if (all?.size === 0) users.delete(name)
  }

  return {
    changed: (sessionId, life) => {
      const before = names.get(sessionId)
      const desired = life?.anchor?.record?.desired
      // Of a record that cannot be read it is not known: as before.
      if (desired === undefined && life?.anchor) return []
      if (desired === before?.desired) return []
      const name = desired === undefined ? null : templateName(agentId, desired)
      if (before !== undefined && before.name !== name) leave(sessionId, before.name)
      if (desired === undefined || name === null) names.delete(sessionId)
      else {
        names.set(sessionId, { name, desired })
        const all = users.get(name) ?? new Map<SessionId, Desired>()
        users.set(name, all.set(sessionId, desired))
      }
      return [...new Set([before?.name, name].filter((one) => one !== undefined && one !== null))]
    },
    of: (name) => [...(users.get(name) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, desired]) => desired),
  }
}
