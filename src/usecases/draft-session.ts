/** What a request for a session means before it is placed: template, parameters, resources; and what is wrong with it. */
import type { ApplicationError } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, UserId } from '../../domain/ids.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import type { SecretEnv } from '../../domain/ports/unit-of-work.ts'
import { nothingObserved, type Session } from '../../domain/session/session.ts'
import type { PatternMatch } from '../../domain/template/parameter-codec.ts'
import { type ResolvedParameters, resolveParameters } from '../../domain/template/parameters.ts'
import { resourcesFor, type Template } from '../../domain/template/template.ts'
import type { CreateSession } from './application.ts'

export type DraftDeps = {
  readonly templates: Pick<TemplateStore, 'find'>
  readonly clock: Clock
  readonly ids: Ids
  /** Matches a template's patterns under a limit of time. */
  readonly matches?: PatternMatch
}

/** Whose it is to be: what they see of templates counts. */
export type Owner = { readonly orgId: OrgId; readonly userId: UserId }

export type DraftedSession = { readonly draft: Session; readonly secrets: SecretEnv }

/** A command has to fit one frame of 1 MiB, with room for everything around its environment. */
const MAX_ENV_BYTES = 256 * 1024

export const draftSession = async (
  deps: DraftDeps,
  owner: Owner,
  request: CreateSession,
): Promise<E.Either<ApplicationError, DraftedSession>> => {
  const template = await deps.templates.find(owner.orgId, request.template, request.templateVersion ?? null)
  if (template === null || template.archivedAt !== null)
    return E.left({ _tag: 'UnknownTemplate', name: request.template, version: request.templateVersion ?? null })
  const resolved = resolveParameters(template.document.parameters ?? [], request.parameters ?? {}, deps.matches)
  if (E.isLeft(resolved)) return resolved
  const refused = oversize(request) ?? contradiction(template, request)
  if (refused !== null) return E.left(refused)
  return E.right({
    draft: draftOf(deps, owner, request, template, resolved.right),
    secrets: resolved.right.secretEnv,
  })
}

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

/** Both have to hold, and no agent has two values for one label. */
const contradiction = (template: Template, { agentLabels = {} }: CreateSession): ApplicationError | null => {
  const asked = template.document.placement?.agentLabels ?? {}
  const errors = Object.entries(agentLabels).flatMap(([name, value]) =>
    Object.hasOwn(asked, name) && asked[name] !== value
      ? [{ field: `agentLabels.${name}`, message: `cannot be ${value}: the template asks for ${asked[name]}` }]
      : [],
  )
  return errors.length === 0 ? null : { _tag: 'InvalidParameters', errors }
}

/** Only what is asked for: most sessions ask for nothing of the kind. */
const whereItMayRun = (template: Template, request: CreateSession): Partial<Session['placement']> => {
  const { strategy, agentLabels } = template.document.placement ?? {}
  const labels = { ...agentLabels, ...request.agentLabels }
  return {
    ...(strategy === undefined ? {} : { strategy }),
    ...(Object.keys(labels).length === 0 ? {} : { agentLabels: labels }),
  }
}

const draftOf = (
  deps: DraftDeps,
  owner: Owner,
  request: CreateSession,
  template: Template,
  parameters: ResolvedParameters,
): Session => {
  const at = deps.clock.now()
  const resources = resourcesFor(template, request.resources ?? {})
  return {
    id: deps.ids.session(),
    orgId: owner.orgId,
    userId: owner.userId,
    name: request.name ?? template.document.name,
    template: { id: template.id, name: template.document.name, version: template.version },
    placement: {
      platforms: template.platforms,
      platform: request.platform ?? null,
      region: request.region ?? null,
      agentId: (request.agentId as AgentId | undefined) ?? null,
      ...whereItMayRun(template, request),
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
    refusals: [],
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
