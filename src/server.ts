/**
 * One server replica: everything wired together. `startServer` is used by `streamspace server` and by
 * `npm start`; nothing outside the composition roots knows which adapter stands behind a port.
 */

import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { createHttpApp } from '../adapters/http/create-http-app.ts'
import { createLimits } from '../adapters/http/limits.ts'
import { listen } from '../adapters/http/listen.ts'
import { neighbourhoodOf } from '../adapters/http/rate-limit.ts'
import { createWatches } from '../adapters/http/watches.ts'
import { createVerifyToken } from '../adapters/jwt/verify-token.ts'
import { limitedMatch } from '../adapters/patterns/limited-match.ts'
import { startBoss } from '../adapters/pgboss/boss.ts'
import { isAboutDrains, workDrains } from '../adapters/pgboss/drains.ts'
import { createJobQueries } from '../adapters/pgboss/job-queries.ts'
import { createAccessStore } from '../adapters/postgres/access.ts'
import { createAgentStore } from '../adapters/postgres/agents.ts'
import { createApiKeyStore } from '../adapters/postgres/api-keys.ts'
import { createAuditStore } from '../adapters/postgres/audit.ts'
import { createDatabaseClock } from '../adapters/postgres/database-clock.ts'
import { createDutyStore } from '../adapters/postgres/duties.ts'
import { createFeed } from '../adapters/postgres/feed.ts'
import { openJobsDatabase } from '../adapters/postgres/jobs-database.ts'
import { appliedVersion } from '../adapters/postgres/migrate.ts'
import { type Database, openDatabase } from '../adapters/postgres/pool.ts'
import { createSessionBatches } from '../adapters/postgres/session-batches.ts'
import { createSessionQueries } from '../adapters/postgres/session-queries.ts'
import { createSessionStore } from '../adapters/postgres/session-store.ts'
import { createSessionWriter } from '../adapters/postgres/session-writer.ts'
import { createTemplateStore } from '../adapters/postgres/templates.ts'
import { createIds } from '../adapters/secrets/ids.ts'
import { tokens } from '../adapters/secrets/tokens.ts'
import { createMetrics } from '../adapters/telemetry/metrics.ts'
import { CONNECT_PATH } from '../agents/protocol.ts'
import { OFFLINE_AFTER_INTERVALS } from '../domain/agent/agent.ts'
import { readCatalogue } from './catalogue/index.ts'
import { keptUseCases } from './kept-use-cases.ts'
import { createRecentAgents } from './placement/recent-agents.ts'
import { createRecentTemplates } from './placement/recent-templates.ts'
import { ensureCatalogue, ensureInstallationKey, type InstallationKey } from './program/first-start.ts'
import type { ServerSettings } from './program/settings.ts'
import { openDatabases } from './server-databases.ts'
import { openDelivery } from './server-delivery.ts'
import { startDuties } from './server-duties.ts'
import { openSecrets } from './server-secrets.ts'
import { openWebhooks } from './server-webhooks.ts'
import type { Application } from './usecases/application.ts'
import { auditUseCases } from './usecases/audit.ts'
import { createAuditTrail } from './usecases/audit-trail.ts'
import { createAuthenticate } from './usecases/authenticate.ts'
import { batchSessions } from './usecases/batch-sessions.ts'
import { actOnSession, removeSession, updateSession } from './usecases/change-session.ts'
import { createSession } from './usecases/create-session.ts'
import { jobUseCases } from './usecases/jobs.ts'
import { createKeyUse } from './usecases/key-use.ts'
import { planSession } from './usecases/plan-session.ts'
import { readCommands, readSessions } from './usecases/read-sessions.ts'
import { readiness } from './usecases/readiness.ts'
import { createPresence } from './usecases/replicas.ts'
import { createUnitOfWork } from './usecases/unit-of-work.ts'
import { watchSessions } from './usecases/watch-sessions.ts'
import { version } from './version.ts'
import { createLiveFeed } from './watch/live-feed.ts'

export type RunningServer = {
  readonly url: string
  /** For what runs on this machine, whatever clients are told. */
  readonly loopbackUrl: string
  readonly installationKey: InstallationKey
  readonly application: Application
  readonly close: () => Promise<void>
}

/** What agents have said, at an orderly stop. */
const WRITE_OUT_WITHIN_MS = 1_500

/** The feed that watchers are told of. */
const STOP_READING_WITHIN_MS = 500

/** Webhooks that are under way at an orderly stop. */
const DELIVER_WITHIN_MS = 3_000

/** Whoever asks whether this replica is ready waits a few seconds: a database that hangs is none. */
const READY_WITHIN_MS = 3_000

const answered = <A>(asked: Promise<A>): Promise<A> =>
  Promise.race([
    asked,
    wait(READY_WITHIN_MS, undefined, { ref: false }).then(() => {
      throw new Error('the database has not answered')
    }),
  ])

/** Of an orderly stop, from its beginning: shorter than the 10 s that it may take (`docs/operations.md`). */
const SIGNED_OFF_WITHIN_MS = 8_500

export const startServer = async (
  settings: ServerSettings & { readonly secretKey: string },
  log: Logger,
  /** Tests of the locks between orgs stand before it. */
  open: typeof openDatabase = openDatabase,
): Promise<RunningServer> => {
  const told = (what: string) => (error: unknown) => log.warn({ err: error }, what)
  const databases = openDatabases(open, {
    url: settings.databaseUrl,
    pooler: settings.pooler,
    onIdleError: told('a database connection broke'),
  })
  const { own, callers, forSessions, forCreations } = databases
  const clock = await createDatabaseClock(own)
  const schema = await appliedVersion(own)
  const ids = createIds()
  const replicaId = ids.replica()
  const secrets = await openSecrets(databases, settings, log).catch(async (error: unknown) => {
    clock.stop()
    await databases.close()
    throw error
  })
  const { sealer, cursors } = secrets
  const agentSilentAfterMs = OFFLINE_AFTER_INTERVALS * settings.heartbeatIntervalMs
  const { timeouts } = settings

  const access = createAccessStore(own)
  const templateStore = createTemplateStore(callers, cursors, ids)
  const templates = createRecentTemplates({ ...templateStore, find: forCreations(templateStore.find) })
  const queries = createSessionQueries(callers, cursors, { agentSilentAfterMs })
  const duties = createDutyStore(own)
  const feed = createFeed(own)
  /** Sessions as they are decided on: by duties, and by those who ask for something. */
  const deciding = (database: Database) => ({
    agents: createAgentStore(database, cursors, clock, settings),
    sessions: createSessionStore(database, { agentSilentAfterMs }),
    unitOfWork: createUnitOfWork(
      createSessionWriter(database, { commandTtlMs: settings.commandTtlMs, seal: sealer.seal }),
    ),
  })
  const byDuties = deciding(own)

  const installationKey = await ensureInstallationKey({ access, templates, tokens, ids }, settings)
  await ensureCatalogue({ templates }, await readCatalogue())
  // Whether the history is still the one that watchers know: found out before any of them is answered.
  await feed.now()
  await duties.replicaAlive(replicaId, settings.replicaUrl ?? '')

  const jobs = openJobsDatabase({
    url: settings.directUrl,
    isQuick: isAboutDrains,
    onError: told('a connection for jobs broke'),
  })
  const boss = await startBoss(jobs, told('pg-boss'))
  // Agents are heard before there are duties.
  const rooms = { freed: () => {} }
  const delivery = openDelivery(
    {
      database: own,
      boss,
      sessions: byDuties.sessions,
      sealer,
      cursors,
      clock,
      ids,
      replicaId,
      roomFreed: () => rooms.freed(),
      log,
    },
    settings,
  )
  const { hub, inbox, wake } = delivery
  const core = { ...byDuties, reports: delivery.reports, duties, wake, clock, ids, timeouts }
  const asked = { ...deciding(callers), wake, clock, ids, timeouts }

  const live = createLiveFeed({
    feed,
    told: (what, error) => log.warn({ err: error, msg: what }),
    late: (delay) => log.warn({ ...delay, msg: 'watchers wait: a transaction in the database is open for long' }),
  })
  const webhooks = await openWebhooks(
    { database: own, boss, feed, ids, clock, secrets: secrets.webhookSecrets, log },
    settings.webhooks,
  )

  const keys = createApiKeyStore(own, cursors)
  const keyUse = createKeyUse({ keys, clock, onError: told('when keys were used could not be written') })
  const trail = createAuditTrail({
    audit: createAuditStore(own, cursors),
    onError: told('what was refused could not be written to the audit trail; it is tried again'),
    leftOut: (orgId, count) =>
      log.warn(
        { orgId, count },
        'so much of an org (null: of nobody known) was refused that its audit trail tells some of it by number alone',
      ),
    neighbourhoodOf,
  })
  const authenticate = createAuthenticate({
    access,
    tokens,
    clock,
    verifyToken: settings.jwt === null ? null : createVerifyToken(settings.jwt),
    used: keyUse.used,
    told: (what, why) => log.info({ why, msg: what }),
  })
  const kept = keptUseCases({
    database: callers,
    cursors,
    clock,
    ids,
    tokens,
    gateway: hub,
    wake,
    templates,
    matches: limitedMatch,
    seal: sealer.seal,
    webhooks: webhooks.forPeople,
    settings: { ...settings, agentSilentAfterMs },
    timeouts,
    told: (act, fields) => log.warn(fields, act),
    askInventory: delivery.askInventory,
    keysEnded: authenticate.forget,
  })
  const watches = createWatches({
    authenticate,
    log,
    heartbeatMs: settings.watchHeartbeatMs,
  })
  const application: Application = {
    authenticate,
    metrics: createMetrics({
      feedDelay: feed.delay,
      watchers: watches.size,
      watchersDropped: watches.dropped,
    }),
    readiness: readiness(() => answered(appliedVersion(own)), schema),
    sessions: {
      ...readSessions({ ...queries, get: forSessions(queries.get) }, clock),
      create: createSession({
        ...asked,
        templates,
        agents: createRecentAgents({ candidates: forCreations(asked.agents.candidates) }),
        matches: limitedMatch,
      }),
      // It has a place of its own, in which it waits for no creation.
      plan: planSession({ ...asked, templates: templateStore, matches: limitedMatch }),
      batch: batchSessions({ ...asked, batches: createSessionBatches(callers, { agentSilentAfterMs }) }),
      act: actOnSession(asked),
      remove: removeSession(asked),
      update: updateSession(asked),
      watch: watchSessions({ feed: createFeed(callers), live, tokens: secrets.feedTokens }),
    },
    ...kept,
    audit: auditUseCases(createAuditStore(callers, cursors)),
    commands: { ...readCommands(queries), ...kept.commands },
    jobs: jobUseCases(createJobQueries(boss, cursors)),
  }

  let liveReplicas = 1
  const { http } = settings
  const limits = createLimits(
    { perKey: http.rateLimitPerKey, failedLogins: http.failedLoginLimit, trustedProxies: http.trustedProxies },
    { replicas: () => liveReplicas, now: () => performance.now() },
  )
  const countReplicas = async (): Promise<void> => {
    if (http.rateLimitPerKey !== null || http.failedLoginLimit !== null)
      liveReplicas = (await duties.replicaIds()).length
  }
  const listening = await listen({
    app: createHttpApp(application, {
      log,
      version,
      watches,
      corsOrigins: http.corsOrigins,
      publicUrl: settings.publicUrl,
      limits,
      noteAudit: trail.note,
      idempotency: secrets.idempotency,
    }),
    upgrades: [CONNECT_PATH],
    host: settings.host,
    port: settings.port,
  }).catch(async (error: unknown) => {
    await boss.stop({ graceful: false }).catch(() => {})
    await jobs.close()
    clock.stop()
    await databases.close()
    throw error
  })
  hub.attach(listening.server)
  const presence = createPresence({
    duties,
    replicaId,
    url: settings.replicaUrl ?? listening.url,
    now: () => performance.now(),
    wasTakenForDead: () => hub.standDown('this replica was taken for dead'),
  })
  await presence.beat()
  await countReplicas()
  const draining = await workDrains({
    boss,
    overhear: jobs.overhear,
    replicaId,
    drain: delivery.drain,
    requestInventory: hub.requestInventory,
    onError: told('drain jobs could not be fetched; the sweep finds what they were for'),
  })
  const delivering = webhooks.work(jobs.overhear)
  const running = await startDuties(
    { core, database: own, boss, secrets, more: [webhooks.duty], replicaId, presence, countReplicas, log },
    settings,
  )
  rooms.freed = running.roomFreed

  return {
    url: settings.publicUrl ?? listening.url,
    loopbackUrl: listening.loopbackUrl,
    installationKey,
    application,
    close: async () => {
      const endsAt = performance.now() + SIGNED_OFF_WITHIN_MS
      running.stop()
      watches.close()
      // A read that hangs with the database is not waited for.
      await Promise.race([live.stop(), wait(STOP_READING_WITHIN_MS, undefined, { ref: false })])
      // What is not over by its end another replica tries again.
      const delivered = delivering.stop(DELIVER_WITHIN_MS)
      // Agents first: they are told when to come back, and to whom matters to nobody.
      await hub.close({ reason: 'this replica is stopping' })
      await listening.close(3_000)
      const signOff = async (): Promise<void> => {
        await keyUse.stop()
        await trail.stop()
        // What cannot be written in time the agents' next inventory tells again.
        await Promise.race([inbox.idle(), wait(WRITE_OUT_WITHIN_MS, undefined, { ref: false })])
        // The queue first: without its replica another one would remove it.
        await draining.leave().catch(told('this replica left its queue behind'))
        await duties.replicaGone(replicaId).catch(told('this replica could not sign off'))
        await delivered
        await boss.stop({ graceful: true, timeout: 2_000 }).catch(told('pg-boss did not stop in order'))
        await jobs.close()
        clock.stop()
        await databases.close()
      }
      // A database that hangs answers none of it: what is left another replica does, as for one that was killed.
      const inTime = await Promise.race([
        signOff().then(() => true),
        wait(Math.max(0, endsAt - performance.now()), false, { ref: false }),
      ])
      if (!inTime) log.warn('the database did not answer in time: another replica cleans up after this one')
    },
  }
}
