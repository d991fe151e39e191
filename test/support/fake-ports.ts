/** Ports in memory: what use cases wrote and whom they woke can be looked at, answers can be scripted. */
import type { Agent } from '../../domain/agent/agent.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import type { AgentStore } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { SessionStore } from '../../domain/ports/sessions.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import type { CommitConflict, SecretEnv, UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import type { Decision, Session } from '../../domain/session/session.ts'
import type { Template } from '../../domain/template/template.ts'
import { AGENT, later, SESSION } from './a-session.ts'

const notExpected = (name: string) => () => {
  throw new Error(`${name} was not expected to be called`)
}

export const fixedClock: Clock = { now: () => later(100) }

export const countedIds = (): Ids => {
  let commands = 0
  return {
    session: () => SESSION,
    command: () => {
      commands += 1
      return `command-${commands}` as CommandId
    },
    template: notExpected('ids.template'),
    replica: notExpected('ids.replica'),
    apiKey: notExpected('ids.apiKey'),
    webhook: notExpected('ids.webhook'),
    webhookDelivery: notExpected('ids.webhookDelivery'),
  }
}

export const conflict: CommitConflict = { _tag: 'Conflict' }
export const notReserved: CommitConflict = { _tag: 'NotReserved', agentId: AGENT }

/** Answers commits with these conflicts, one after another, and then accepts all. `log` has everything in order. */
export const scriptedUnitOfWork = (conflicts: readonly CommitConflict[] = [], log: string[] = []) => {
  const tried: { readonly decision: Decision; readonly secrets: SecretEnv | undefined }[] = []
  const committed: Decision[] = []
  const unitOfWork: UnitOfWork = {
    commit: async (decision, more) => {
      tried.push({ decision, secrets: more?.secrets })
      const refusal = conflicts[tried.length - 1]
      if (refusal !== undefined) return E.left(refusal)
      committed.push(decision)
      log.push('committed')
      return E.right(undefined)
    },
  }
  return { unitOfWork, tried, committed }
}

export const recordedWake = (log: string[] = []): { readonly wake: Wake; readonly woken: AgentId[] } => {
  const woken: AgentId[] = []
  return {
    woken,
    wake: {
      agents: (agentIds) => {
        woken.push(...agentIds)
        if (agentIds.length > 0) log.push('woke')
      },
    },
  }
}

/** Each call of `candidates` answers the next list; the last one stays. */
export const agentsSeen = (...lists: readonly (readonly Agent[])[]): AgentStore => {
  let calls = 0
  return {
    candidates: async () => lists[Math.min(calls++, lists.length - 1)] ?? [],
    get: notExpected('agents.get'),
    list: notExpected('agents.list'),
    enrol: notExpected('agents.enrol'),
    setTokenHash: notExpected('agents.setTokenHash'),
    setCordoned: notExpected('agents.setCordoned'),
    removeEmpty: notExpected('agents.removeEmpty'),
    remove: notExpected('agents.remove'),
  }
}

export const templatesOf = (...templates: readonly Template[]): TemplateStore => ({
  find: async (_orgId, name, version) =>
    templates.find((one) => one.document.name === name && (version === null || one.version === version)) ?? null,
  list: notExpected('templates.list'),
  versions: notExpected('templates.versions'),
  put: notExpected('templates.put'),
  newest: notExpected('templates.newest'),
  isArchived: notExpected('templates.isArchived'),
  archive: notExpected('templates.archive'),
})

/** Each load answers the next state of the session; the last one stays. */
export const sessionsSeen = (
  ...states: readonly (Session | null)[]
): SessionStore & { readonly loads: () => number } => {
  let loads = 0
  const next = (): Session | null => states[Math.min(loads++, states.length - 1)] ?? null
  return {
    loads: () => loads,
    load: async () => {
      const session = next()
      return session === null ? null : { session, agentReachable: true }
    },
    loadMany: async (ids: readonly SessionId[]) => {
      const session = next()
      return session !== null && ids.includes(session.id) ? [session] : []
    },
    pending: async () => states.filter((state) => state !== null),
    overdue: async () => states.filter((state) => state !== null).map((session) => ({ session, agentReachable: true })),
  }
}

export const leftOf = <L>(result: E.Either<L, unknown>): L => {
  if (E.isRight(result)) throw new Error(`it was not refused: ${JSON.stringify(result.right)}`)
  return result.left
}
export const rightOf = <R>(result: E.Either<unknown, R>): R => {
  if (E.isLeft(result)) throw new Error(`it was refused: ${JSON.stringify(result.left)}`)
  return result.right
}
