/** The use cases whose answers are kept in the transaction that makes their change (`kept-with.ts`). */
import { createAccessStore } from '../adapters/postgres/access.ts'
import { createAdoptionStore } from '../adapters/postgres/adoption.ts'
import { createAgentDrains } from '../adapters/postgres/agent-drains.ts'
import { createAgentStore } from '../adapters/postgres/agents.ts'
import { createApiKeyStore } from '../adapters/postgres/api-keys.ts'
import { createCommandStore } from '../adapters/postgres/commands.ts'
import type { Cursors } from '../adapters/postgres/cursor.ts'
import { createOrgStore } from '../adapters/postgres/orgs.ts'
import { createOrphanStore } from '../adapters/postgres/orphans.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { createQuotaStore } from '../adapters/postgres/quotas.ts'
import { createSessionStore } from '../adapters/postgres/session-store.ts'
import { createTemplateStore } from '../adapters/postgres/templates.ts'
import { createWebhookStore } from '../adapters/postgres/webhooks.ts'
import { pipe, TE } from '../domain/fp.ts'
import type { Clock, Ids } from '../domain/ports/clock.ts'
import type { AgentGateway, AskInventory, Wake } from '../domain/ports/delivery.ts'
import type { Tokens } from '../domain/ports/tokens.ts'
import type { SecretEnv } from '../domain/ports/unit-of-work.ts'
import type { CheckTarget, DeliveryJobs } from '../domain/ports/webhooks.ts'
import type { Timeouts } from '../domain/session/timeouts.ts'
import type { PatternMatch } from '../domain/template/parameter-codec.ts'
import { keptAndSeen, type Later } from './kept-with.ts'
import type { RecentTemplates } from './placement/recent-templates.ts'
import { agentFor, changing, named, removing, templateFor, templateToPut, theOneOf } from './sights.ts'
import { adoptOrphan } from './usecases/adopt-orphan.ts'
import { agentUseCases } from './usecases/agents.ts'
import { apiKeyUseCases } from './usecases/api-keys.ts'
import type { Application } from './usecases/application.ts'
import { changeCommands } from './usecases/change-command.ts'
import { orgUseCases } from './usecases/orgs.ts'
import { orphanUseCases } from './usecases/orphans.ts'
import { quotaUseCases } from './usecases/quotas.ts'
import { templateUseCases } from './usecases/templates.ts'
import { webhookUseCases, withCheckedTargets } from './usecases/webhooks.ts'

export type KeptUseCases = Pick<
  Application,
  'agents' | 'apiKeys' | 'orgs' | 'orphans' | 'quotas' | 'templates' | 'webhooks'
> & {
  readonly commands: Pick<Application['commands'], 'get' | 'redrive' | 'cancel'>
}

export type KeptUseCaseDeps = {
  readonly database: Database
  readonly cursors: Cursors
  readonly clock: Clock
  readonly ids: Ids
  readonly tokens: Tokens
  readonly gateway: Pick<AgentGateway, 'disconnect'>
  readonly wake: Wake
  /** Keys that this server may remember are good no more. */
  readonly keysEnded: () => void
  readonly askInventory: AskInventory
  readonly templates: RecentTemplates
  readonly matches: PatternMatch
  readonly seal: (secrets: SecretEnv) => Buffer
  readonly webhooks: {
    readonly checkTarget: CheckTarget
    readonly jobs: DeliveryJobs
    readonly seal: (secret: string) => Buffer
    readonly perOrg: number
  }
  readonly settings: {
    readonly heartbeatIntervalMs: number
    readonly agentSilentAfterMs: number
    readonly commandTtlMs: number
  }
  readonly timeouts: Timeouts
  /** What a person has decided. */
  readonly told: (act: string, fields: object) => void
}

export const keptUseCases = (deps: KeptUseCaseDeps): KeptUseCases => {
  const { database, cursors, clock, ids, tokens, settings, timeouts, matches } = deps
  const agentsIn = (within: Database) => createAgentStore(within, cursors, clock, settings)
  const wakeLater = (later: Later): Wake => ({ agents: (agentIds) => later(() => deps.wake.agents(agentIds)) })
  const toldLater =
    (later: Later): KeptUseCaseDeps['told'] =>
    (act, fields) =>
      later(() => deps.told(act, fields))
  /** What is read of them may be a moment old, but not older than a change of one's own. */
  const templatesIn = (within: Database, later: Later) => {
    const store = createTemplateStore(within, cursors, ids)
    const forget = <A>(changed: A): A => {
      later(deps.templates.forget)
      return changed
    }
    return within === database
      ? deps.templates
      : {
          ...store,
          put: async (...about: Parameters<typeof store.put>) => forget(await store.put(...about)),
          archive: async (...about: Parameters<typeof store.archive>) => forget(await store.archive(...about)),
        }
  }

  const agents = (within: Database, later: Later) =>
    agentUseCases({
      agents: agentsIn(within),
      drains: createAgentDrains(within, cursors, { commandTtlMs: settings.commandTtlMs, seal: deps.seal }),
      access: createAccessStore(within),
      tokens,
      gateway: { disconnect: (...about) => later(() => deps.gateway.disconnect(...about)) },
    })

  const templates = (within: Database, later: Later) =>
    templateUseCases(templatesIn(within, later), createAccessStore(within), matches)

  const apiKeys = (within: Database, later: Later) =>
    apiKeyUseCases({
      keys: createApiKeyStore(within, cursors),
      access: createAccessStore(within),
      tokens,
      clock,
      ids,
      ended: () => later(deps.keysEnded),
    })

  const webhooks = (within: Database) =>
    webhookUseCases({ webhooks: createWebhookStore(within, cursors, deps.webhooks), tokens, ids })

  const commands = (within: Database, later: Later) =>
    changeCommands({
      commands: createCommandStore(within, settings),
      sessions: createSessionStore(within, settings),
      agents: agentsIn(within),
      wake: wakeLater(later),
      clock,
      timeouts,
    })

  const orphans = (within: Database, later: Later) => ({
    ...orphanUseCases({
      orphans: createOrphanStore(within, cursors),
      agents: agentsIn(within),
      ids,
      wake: wakeLater(later),
      told: toldLater(later),
    }),
    adopt: adoptOrphan({
      adoption: createAdoptionStore(within, { commandTtlMs: settings.commandTtlMs, seal: deps.seal }),
      agents: agentsIn(within),
      access: createAccessStore(within),
      templates: templatesIn(within, later),
      askInventory: (agentId) => later(() => deps.askInventory(agentId)),
      told: toldLater(later),
      clock,
      ids,
      matches,
      timeouts,
    }),
  })

  return {
    agents: keptAndSeen(database, agents, ['enrol', 'rotateToken', 'cordon', 'uncordon', 'drain', 'remove'], {
      drain: ({ cases }, caller, id) => changing(cases.get(caller, id), agentFor(caller)),
      cordon: ({ cases }, caller, id) => changing(cases.get(caller, id), agentFor(caller)),
      uncordon: ({ cases }, caller, id) => changing(cases.get(caller, id), agentFor(caller)),
      remove: ({ cases }, caller, id) => removing(cases.get(caller, id), agentFor(caller)),
    }),
    templates: keptAndSeen(database, templates, ['put', 'archive'], {
      put: ({ bound }, caller, { name }, orgId) =>
        templateToPut(createTemplateStore(bound, cursors, ids), caller, orgId, name),
      archive: ({ cases }, caller, name) => removing(cases.get(caller, name), templateFor(caller)),
    }),
    apiKeys: keptAndSeen(database, apiKeys, ['create', 'rotate', 'revoke'], {
      revoke: ({ cases }, caller, id) => removing(cases.get(caller, id), named('api key')),
    }),
    webhooks: withCheckedTargets(
      keptAndSeen(database, webhooks, ['create', 'change', 'remove', 'rotate', 'redrive'], {
        change: ({ cases }, caller, id) => changing(cases.get(caller, id), named('webhook')),
        remove: ({ cases }, caller, id) => removing(cases.get(caller, id), named('webhook')),
      }),
      deps.webhooks.checkTarget,
    ),
    orgs: keptAndSeen(
      database,
      (within: Database, later: Later) => orgUseCases(createOrgStore(within, cursors), () => later(deps.keysEnded)),
      ['create', 'remove'],
      {
        remove: ({ cases }, caller, id) => removing(cases.get(caller, id), named('org')),
      },
    ),
    quotas: keptAndSeen(
      database,
      (within: Database) => quotaUseCases(createQuotaStore(within), createOrgStore(within, cursors)),
      ['set'],
      {
        set: ({ cases }, caller, id) => changing(cases.get(caller, id), () => `quota\n${id}`),
      },
    ),
    commands: keptAndSeen(database, commands, ['redrive', 'cancel'], {
      redrive: ({ cases }, caller, id) => changing(cases.get(caller, id), named('command')),
      cancel: ({ cases }, caller, id) => changing(cases.get(caller, id), named('command')),
    }),
    orphans: keptAndSeen(database, orphans, ['approve', 'adopt', 'halt', 'resume', 'haltOrg', 'resumeOrg'], {
      halt: ({ cases }, caller) => changing(cases.removal(caller), theOneOf('orphan removal')),
      resume: ({ cases }, caller) =>
        changing(
          pipe(
            cases.removal(caller),
            TE.map((removal) => ({ ...removal, lifted: [] })),
          ),
          theOneOf('orphan removal'),
        ),
      haltOrg: ({ cases }, caller, id) => changing(cases.orgRemoval(caller, id), () => `orphan removal\n${id}`),
      resumeOrg: ({ cases }, caller, id) => changing(cases.orgRemoval(caller, id), () => `orphan removal\n${id}`),
    }),
  }
}
