/** What the requests of the fuzz run are about: made over REST where that is quick, else in the database. */
import { randomUUID } from 'node:crypto'
import { eventually } from '../eventually.ts'
import type { Changes } from './changes.ts'
import { aWebhook, type World } from './operations.ts'

/** As the installation, in org `default`; throws when it is not answered with 2xx. */
// biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the caller asked for
export type Made = (method: string, path: string, body?: unknown) => Promise<any>

export type Stage = {
  readonly made: Made
  readonly changes: Changes
  /** An agent that is connected and takes no command. */
  readonly silentAgent: string
  /** An agent that has these, which nobody knows. */
  readonly orphans: { readonly agentId: string; readonly sessionIds: readonly string[] }
  readonly failedJobs: { readonly queue: string; readonly ids: readonly string[] }
}

export const createWorld = ({ made, changes, silentAgent, orphans, failedJobs }: Stage): World => {
  let serial = 0
  const unique = (): string => {
    serial += 1
    return `${serial.toString(36)}-${randomUUID().slice(0, 8)}`
  }
  /** Some that are there for as long as the run. */
  const few = (make: () => Promise<string>): (() => Promise<string>) => {
    const some: Promise<string>[] = []
    let next = 0
    return () => {
      next += 1
      some[next % 10] ??= make()
      return some[next % 10] as Promise<string>
    }
  }
  const each = <A>(all: readonly A[], what: string): (() => A) => {
    const left = [...all]
    return () => {
      const one = left.pop()
      if (one === undefined) throw new Error(`more ${what} are asked for than there are`)
      return one
    }
  }

  const newSession = async (): Promise<string> => (await made('POST', '/sessions', { template: 'hello-web' })).id
  const newAgent = async (): Promise<string> =>
    (await made('POST', '/agents', { id: `a-${unique()}`, platform: 'process' })).id
  const newTemplate = async (): Promise<string> =>
    (
      await made('POST', '/templates', {
        name: `t-${unique()}`,
        displayName: 'Fuzzed',
        spec: { process: { command: ['true'] } },
      })
    ).name
  const newKey = async (): Promise<string> => (await made('POST', '/api-keys', { role: 'viewer' })).id
  const newOrg = async (): Promise<string> => (await made('POST', '/orgs', { id: `o-${unique()}` })).id
  const pendingCommand = async (): Promise<string> => {
    const { id } = await made('POST', '/sessions', { template: 'quiet-app', agentId: silentAgent })
    return (await made('GET', `/sessions/${id}/commands`)).items[0].id
  }
  const newWebhook = async (): Promise<string> => (await made('POST', '/webhooks', aWebhook)).id
  const orphan = each(orphans.sessionIds, 'orphans')
  const failedJob = each(failedJobs.ids, 'failed jobs')

  return {
    unique,
    session: few(newSession),
    newSession,
    runningSession: async () => {
      const id = await newSession()
      await eventually(async () => {
        const { status } = await made('GET', `/sessions/${id}`)
        if (status !== 'running') throw new Error(`session ${id} is ${status}`)
      })
      return id
    },
    template: few(newTemplate),
    newTemplate,
    agent: few(newAgent),
    newAgent,
    command: few(pendingCommand),
    pendingCommand,
    expiredCommand: async () => {
      const id = await pendingCommand()
      // As the sweep leaves it once its time is over.
      await changes.query(
        `WITH command AS (UPDATE outbox SET status = 'expired', finished_at = now() WHERE command_id = $1 RETURNING session_id)
         UPDATE sessions SET status = 'failed', status_reason = 'delivery_failed', status_deadline = NULL
          WHERE id = (SELECT session_id FROM command)`,
        [id],
      )
      return id
    },
    failedJob: async () => ({ queue: failedJobs.queue, id: failedJob() }),
    orphan: async () => ({ agentId: orphans.agentId, sessionId: orphan() }),
    key: few(newKey),
    newKey,
    drainedAgent: few(async () => {
      const id = await newAgent()
      await made('POST', `/agents/${id}/drain`)
      return id
    }),
    org: few(newOrg),
    newOrg,
    webhook: few(newWebhook),
    newWebhook,
    deadDelivery: async () => {
      const id = await newWebhook()
      const deliveryId = randomUUID()
      await changes.query(
        `INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body, status, attempts, finished_at)
         SELECT $1, org_id, id, 1, $1, 'restored', '{}', 'dead', 1, now() FROM webhooks WHERE id = $2`,
        [deliveryId, id],
      )
      return { id, deliveryId }
    },
  }
}
