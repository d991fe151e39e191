/** Everything that a run is made of, started: PostgreSQL, replicas, agents, two orgs and a template. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Endings } from '../bench/bench.ts'
import { benchTemplate } from '../bench/template.ts'
import { createFaultyAgent, type FaultyAgent } from './agents.ts'
import { type RunDatabase, startRunDatabase } from './database.ts'
import { callOnce } from './http-call.ts'
import type { Intervals } from './intervals.ts'
import { createProcesses } from './processes.ts'
import { randomOf } from './random.ts'
import { createReplica, type Replica } from './servers.ts'

export type Scene = {
  readonly database: RunDatabase
  readonly replicas: readonly Replica[]
  readonly agents: readonly FaultyAgent[]
  readonly orgs: readonly { readonly id: string; readonly key: string }[]
}

export type SceneSettings = {
  readonly directory: string
  readonly seed: number
  readonly replicas: number
  readonly agents: number
  readonly intervals: Intervals
  readonly ends: Endings['add']
}

const OTHER_ORG = 'neighbours'

const aKey = (): string => `ssk_${randomBytes(24).toString('hex')}`

export const startScene = async (settings: SceneSettings): Promise<Scene> => {
  const { directory, intervals, ends } = settings
  const database = await startRunDatabase(directory)
  ends('PostgreSQL', database.stop)
  const processes = createProcesses()
  ends('servers and agents', processes.killAll)
  const key = aKey()

  const replicas: Replica[] = []
  for (let number = 1; number <= settings.replicas; number += 1) {
    const replica = await createReplica(processes, {
      name: `replica-${number}`,
      directory,
      databaseUrl: database.url,
      key,
      intervals,
    })
    ends(`the proxy of replica ${number}`, replica.proxy.close)
    replicas.push(replica)
  }
  // The first one makes the installation key and the templates that ship.
  await replicas[0]?.start()
  await Promise.all(replicas.slice(1).map((replica) => replica.start()))

  const call = async (path: string, body: unknown): Promise<{ readonly token: string }> => {
    const base = `http://127.0.0.1:${replicas[0]?.port()}`
    const outcome = await callOnce({ base, key, method: 'POST', path, body, withinMs: 10_000 })
    if (outcome.kind === 'answered' && outcome.status < 300) return outcome.body
    throw new Error(`POST ${path}: ${JSON.stringify(outcome)}`)
  }
  await call('/templates', template)
  const otherKey = aKey()
  await addOrg(database, otherKey)

  const agents: FaultyAgent[] = []
  for (let number = 1; number <= settings.agents; number += 1) {
    const id = `edge-${number}`
    const { token } = await call('/agents', { id, platform: 'process', orgId: null })
    const way = randomOf(settings.seed, `way of ${id}`)
    const agent = await createFaultyAgent(processes, {
      id,
      token,
      directory,
      reconnectCapMs: intervals.reconnectCapMs,
      replicas,
      choose: (from) => way.pick(from),
    })
    ends(`the proxy of ${id}`, agent.proxy.close)
    agent.start()
    agents.push(agent)
  }
  await connected(agents)
  return {
    database,
    replicas,
    agents,
    orgs: [
      { id: 'default', key },
      { id: OTHER_ORG, key: otherKey },
    ],
  }
}

// The template's own time for a start would stand above the setting's.
const { startTimeoutSeconds: _, ...spec } = benchTemplate.spec

/** Nothing but what people ask for changes a session, and nothing runs but the stand-in. */
const template = {
  ...benchTemplate,
  name: 'faults',
  orgId: null,
  resources: { cpuMillis: 10, memoryMib: 16 },
  parameters: [],
  spec: { ...spec, restart: { policy: 'never' } },
}

/** There is no call yet that makes an org. */
const addOrg = async (database: RunDatabase, key: string): Promise<void> => {
  await database.query('INSERT INTO orgs (id, name) VALUES ($1, $1)', [OTHER_ORG])
  await database.query(
    `INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash)
     VALUES (gen_random_uuid(), $1, 'neighbour', 'admin', 'faults', $2, $3)`,
    [OTHER_ORG, key.slice(0, 12), createHash('sha256').update(key).digest()],
  )
}

export const connected = async (agents: readonly FaultyAgent[], withinMs = 60_000): Promise<void> => {
  for (const deadline = performance.now() + withinMs; ; await wait(50)) {
    if (agents.every((agent) => agent.speaksWith() !== null)) return
    if (performance.now() < deadline) continue
    const away = agents.filter((agent) => agent.speaksWith() === null)
    throw new Error(
      `not connected within ${withinMs / 1_000} s: ${away.map(({ id, output }) => `${id}\n${output().join('\n')}`).join('; ')}`,
    )
  }
}
