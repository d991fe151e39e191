/** POST /sessions: template, parameters and agents → placement → one statement. */
import type { ApplicationError } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AgentId } from '../../domain/ids.ts'
import { type Placement, place } from '../../domain/placement/place.ts'
import { constraintsOf, slotOf } from '../../domain/placement/slot.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { Wake } from '../../domain/ports/delivery.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import type { UnitOfWork } from '../../domain/ports/unit-of-work.ts'
import { create } from '../../domain/session/decide.ts'
import type { Slot } from '../../domain/session/decision.ts'
import { nothingObserved, type Session } from '../../domain/session/session.ts'
import { type SessionView, sessionView } from '../../domain/session/session-view.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { PatternMatch } from '../../domain/template/parameter-codec.ts'
import { type ResolvedParameters, resolveParameters } from '../../domain/template/parameters.ts'
import { resourcesFor, type Template } from '../../domain/template/template.ts'
import type { RecentAgents } from '../placement/recent-agents.ts'
import type { Answer, CreateSession } from './application.ts'

export type CreateSessionDeps = {
  readonly templates: TemplateStore
  readonly agents: RecentAgents
  readonly unitOfWork: UnitOfWork
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
  /** Matches a template's patterns under a limit of time. */
  readonly matches?: PatternMatch
}

/** Lost races for an agent's room before the session waits in the queue instead. */
const PLACEMENT_TRIES = 5
/** A command has to fit one frame of 1 MiB, with room for everything around its environment. */
const MAX_ENV_BYTES = 256 * 1024

export const createSession =
  (deps: CreateSessionDeps) =>
  (caller: Caller, request: CreateSession): Answer<SessionView> =>
  async () => {
    if (!may(caller, 'change_sessions')) return E.left({ _tag: 'Forbidden', permission: 'change_sessions' })
    const template = await deps.templates.find(caller.orgId, request.template, request.templateVersion ?? null)
    if (template === null || template.archivedAt !== null)
      return E.left({ _tag: 'UnknownTemplate', name: request.template, version: request.templateVersion ?? null })
    const resolved = resolveParameters(template.document.parameters ?? [], request.parameters ?? {}, deps.matches)
    if (E.isLeft(resolved)) return resolved
    const tooLarge = oversize(request)
    if (tooLarge !== null) return E.left(tooLarge)
    return commitPlaced(deps, draftOf(deps, caller, request, template, resolved.right), resolved.right)
  }

const commitPlaced = async (
  deps: CreateSessionDeps,
  draft: Session,
  parameters: ResolvedParameters,
): Promise<E.Either<ApplicationError, SessionView>> => {
  for (let attempt = 1; ; attempt += 1) {
    const placement = await placementOf(deps, draft, attempt === 1 ? 'recent' : 'fresh')
    if (E.isLeft(placement)) return placement
    const slot: Slot = attempt > PLACEMENT_TRIES ? lostEveryRace : slotOf(placement.right)
    const decision = create(draft, slot, {
      actor: `user:${draft.userId}`,
      at: draft.createdAt,
      commandId: deps.ids.command(),
      timeouts: deps.timeouts,
    })
    const commit = () => deps.unitOfWork.commit(decision, parameters.secretEnv)
    const committed = await (slot.kind === 'placed' ? deps.agents.whileCommitting(slot.agentId, commit) : commit())
    if (E.isLeft(committed)) {
      if (attempt > 2 * PLACEMENT_TRIES) return E.left({ _tag: 'Contended', what: 'the new session' })
      continue
    }
    if (slot.kind === 'placed') {
      deps.agents.placed(draft.orgId, slot.agentId, draft.resources)
      deps.wake.agents([slot.agentId])
    }
    return E.right(sessionView(decision.session, slot.kind === 'placed'))
  }
}

/** Nobody is refused, and nothing waits, because of figures that are a moment old. */
const placementOf = async (
  deps: CreateSessionDeps,
  draft: Session,
  figures: 'recent' | 'fresh',
): Promise<E.Either<ApplicationError, Placement>> => {
  const agents = await deps.agents[figures](draft.orgId)
  const placement = place({ ...constraintsOf(draft), underWay: deps.agents.underWay }, agents)
  if (placement.kind === 'placed') return E.right(placement)
  if (figures === 'recent') return placementOf(deps, draft, 'fresh')
  const asked = draft.placement.agentId
  if (asked !== null && !agents.some((agent) => agent.id === asked))
    return E.left({ _tag: 'UnknownAgent', agentId: asked })
  return placement.kind === 'impossible' ? E.left(noAgent(draft, placement)) : E.right(placement)
}

const lostEveryRace: Slot = {
  kind: 'waiting',
  reason: 'no_capacity',
  message: 'other sessions took the room just then; it is placed as soon as there is some',
}

const noAgent = (draft: Session, placement: Extract<Placement, { kind: 'impossible' }>): ApplicationError => ({
  _tag: 'NoAgent',
  detail: `no enrolled agent can ever run this: the template is for ${draft.placement.platforms.join(', ')}${
    draft.placement.platform === null ? '' : `, ${draft.placement.platform} was asked for`
  }${draft.placement.region === null ? '' : ` in region ${draft.placement.region}`}`,
  refusals: placement.refusals,
})

const oversize = (request: CreateSession): ApplicationError | null => {
  const bytes = Buffer.byteLength(JSON.stringify([request.env ?? {}, request.parameters ?? {}]))
  return bytes <= MAX_ENV_BYTES
    ? null
    : {
        _tag: 'InvalidParameters',
        errors: [
          { field: 'env', message: `env and parameters have ${bytes} bytes of JSON, at most ${MAX_ENV_BYTES} fit` },
        ],
      }
}

const draftOf = (
  deps: CreateSessionDeps,
  caller: Caller,
  request: CreateSession,
  template: Template,
  parameters: ResolvedParameters,
): Session => {
  const at = deps.clock.now()
  const resources = resourcesFor(template, request.resources ?? {})
  return {
    id: deps.ids.session(),
    orgId: caller.orgId,
    userId: caller.userId,
    name: request.name ?? template.document.name,
    template: { id: template.id, name: template.document.name, version: template.version },
    placement: {
      platforms: template.platforms,
      platform: request.platform ?? null,
      region: request.region ?? null,
      agentId: (request.agentId as AgentId | undefined) ?? null,
    },
    platform: request.platform ?? null,
    region: request.region ?? null,
    agentId: null,
    reservedOn: null,
    desiredState: 'running',
    generation: 1,
    observedGeneration: 0,
    status: 'pending',
    statusReason: null,
    statusMessage: null,
    waitingSince: at,
    statusDeadline: null,
    incarnation: 0,
    labels: request.labels ?? {},
    parameters: parameters.values,
    env: request.env ?? {},
    spec: { ...template.document.spec, resources, env: parameters.env },
    resources,
    persistentHome: request.persistentHome ?? true,
    observed: nothingObserved,
    idleTimeoutSeconds: request.idleTimeoutSeconds ?? null,
    maxDurationSeconds: request.maxDurationSeconds ?? null,
    lastActivityAt: at,
    startedAt: null,
    createdAt: at,
    updatedAt: at,
    deletedAt: null,
    version: 1,
    revision: 1,
  }
}
