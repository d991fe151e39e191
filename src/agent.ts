/** `streamspace agent <platform>`: one agent, from the environment, until it is told to stop. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { AgentSettings, RunningAgent } from '../agents/runtime/agent.ts'
import type { Log } from '../agents/runtime/log.ts'
import { E } from '../domain/fp.ts'
import { AGENT_ID } from '../domain/ids.ts'
import { createLog } from './log.ts'
import { writeCompiled } from './program/compiled.ts'
import { ExitError } from './program/exit-error.ts'
import { readPrivateFile } from './program/private-file.ts'
import { type Environment, reader, type SettingReader } from './program/setting-reader.ts'
import { dataDir } from './program/settings.ts'
import { stopSignal } from './program/stop-signal.ts'
import { version } from './version.ts'

/** What `npm start` tells the agent that it runs, over the channel between parent and child. */
export const SUSPEND = 'suspend'

/** `lost`: it cannot go on, with why. */
type Runner = (log: Log, lost: (why: string) => void) => Promise<RunningAgent>
type Wrong = readonly string[]

/**
 * Each reads its own settings from the environment: what is wrong is said before anything is started. Loaded only where it
 * is asked for: an agent for processes has no use for the clients of engines.
 */
const platforms: { readonly [platform: string]: (agent: AgentSettings) => Promise<E.Either<Wrong, Runner>> } = {
  process: async (agent) => {
    const [{ runProcessAgent }, { processSettingsFrom }] = await Promise.all([
      import('../agents/process/main.ts'),
      import('../agents/process/settings.ts'),
    ])
    const read = processSettingsFrom(process.env, agent.stateDir)
    return E.isLeft(read) ? read : E.right((log) => runProcessAgent({ agent, process: read.right }, log))
  },
  docker: async (agent) => {
    const [{ runDockerAgent }, { dockerSettingsFrom }] = await Promise.all([
      import('../agents/docker/main.ts'),
      import('../agents/docker/settings.ts'),
    ])
    const read = dockerSettingsFrom(process.env, agent.agentId)
    if (E.isLeft(read)) return read
    const taken = 'another agent of this id has taken over: this one has ended'
    return E.right((log, lost) => runDockerAgent({ agent, docker: read.right }, log, () => lost(taken)))
  },
  kubernetes: async (agent) => {
    const [{ runKubernetesAgent }, { kubernetesSettingsFrom }] = await Promise.all([
      import('../agents/kubernetes/main.ts'),
      import('../agents/kubernetes/settings.ts'),
    ])
    const read = kubernetesSettingsFrom(process.env, agent.agentId)
    return E.isLeft(read)
      ? read
      : E.right((log, lost) => runKubernetesAgent({ agent, kubernetes: read.right }, log, lost))
  },
}

export const runAgent = async (platform: string): Promise<void> => {
  const settingsOf = platforms[platform]
  if (settingsOf === undefined)
    throw new ExitError(
      2,
      `there is no ${platform} agent in this version; there are: ${Object.keys(platforms).join(', ')}`,
    )
  const { settings, read } = await agentSettings(process.env)
  const run = await settingsOf(settings)
  if (E.isLeft(run)) for (const problem of run.left) read.problem(problem)
  read.done()
  if (E.isLeft(run)) return
  const log = createLog(settings.logLevel)
  const lost = Promise.withResolvers<{ readonly lost: string }>()
  const stopped = Promise.race([stopSignal().then(() => 'leave' as const), parentsWord(), lost.promise])
  const agent = await run
    .right(log, (lostWhy) => lost.resolve({ lost: lostWhy }))
    .catch((error: Error) => {
      throw error.name === 'StateDirectoryInUse' ? new ExitError(1, error.message) : error
    })
  writeCompiled()
  const why = await stopped
  await agent.stop(typeof why === 'string' ? why : 'leave')
  // A parent that was killed has closed it already.
  if (process.connected) process.disconnect()
  if (typeof why !== 'string') throw new ExitError(1, why.lost)
}

/** The parent says that the sessions end too, or it is gone and they go on. */
const parentsWord = (): Promise<'leave' | 'suspend'> =>
  new Promise((resolve) => {
    if (process.send === undefined) return
    process.on('message', (message) => {
      if (message === SUSPEND) resolve('suspend')
    })
    process.on('disconnect', () => resolve('leave'))
  })

const agentSettings = async (
  environment: Environment,
): Promise<{ readonly settings: AgentSettings & { readonly logLevel: string }; readonly read: SettingReader }> => {
  const read = reader(environment)
  const agentId = read.checked(
    'STREAMSPACE_AGENT_ID',
    '',
    (text) => (new RegExp(AGENT_ID, 'u').test(text) ? text : null),
    'must be the id under which the agent was enrolled: letters, digits, - _ .',
  )
  if ((environment.STREAMSPACE_AGENT_ID ?? '').trim() === '')
    read.require(
      'STREAMSPACE_AGENT_ID',
      'is not set: give the id under which the agent was enrolled (`streamspace agent enrol`)',
    )
  const file = read.text('STREAMSPACE_AGENT_TOKEN_FILE', null)
  const token =
    file === null ? read.text('STREAMSPACE_AGENT_TOKEN', null) : await readPrivateFile(file).catch(() => null)
  if (token === null || token === '')
    read.problem(
      file === null
        ? 'STREAMSPACE_AGENT_TOKEN (or STREAMSPACE_AGENT_TOKEN_FILE) is not set: it was shown when the agent was enrolled'
        : `STREAMSPACE_AGENT_TOKEN_FILE: ${file} cannot be read or is empty`,
    )
  const settings = {
    url: read.url('STREAMSPACE_URL', 'http://127.0.0.1:8080', ['http:', 'https:', 'ws:', 'wss:']),
    agentId,
    token: token ?? '',
    version,
    labels: { host: hostname() },
    stateDir: join(dataDir(environment), 'agents', agentId),
    reconnectCapMs: read.milliseconds('STREAMSPACE_RECONNECT_CAP_MS', 30_000),
    logLevel: read.logLevel('info'),
  }
  const region = read.text('STREAMSPACE_REGION', null)
  return { settings: region === null ? settings : { ...settings, region }, read }
}
