/** `streamspace agent <platform>`: one agent, from the environment, until it is told to stop. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { runProcessAgent } from '../agents/process/main.ts'
import { processSettingsFrom } from '../agents/process/settings.ts'
import type { AgentSettings } from '../agents/runtime/agent.ts'
import { AGENT_ID } from '../domain/ids.ts'
import { createLog } from './log.ts'
import { writeCompiled } from './program/compiled.ts'
import { ExitError } from './program/exit-error.ts'
import { readPrivateFile } from './program/private-file.ts'
import { dataDir, type Environment, reader } from './program/settings.ts'
import { stopSignal } from './program/stop-signal.ts'
import { version } from './version.ts'

/** What `npm start` tells the agent that it runs, over the channel between parent and child. */
export const SUSPEND = 'suspend'

export const runAgent = async (platform: string): Promise<void> => {
  if (platform !== 'process') throw new ExitError(2, `there is no ${platform} agent in this version; there is: process`)
  const settings = await agentSettings(process.env)
  const process_ = processSettingsFrom(process.env, settings.stateDir)
  if (process_._tag === 'Left')
    throw new ExitError(2, `these settings are wrong, nothing was started:\n  ${process_.left.join('\n  ')}`)
  const log = createLog(settings.logLevel)
  const stopped = Promise.race([stopSignal().then(() => 'leave' as const), parentsWord()])
  const agent = await runProcessAgent({ agent: settings, process: process_.right }, log).catch((error: Error) => {
    throw error.name === 'StateDirectoryInUse' ? new ExitError(1, error.message) : error
  })
  writeCompiled()
  await agent.stop(await stopped)
  // A parent that was killed has closed it already.
  if (process.connected) process.disconnect()
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

const agentSettings = async (environment: Environment): Promise<AgentSettings & { readonly logLevel: string }> => {
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
  read.done()
  return region === null ? settings : { ...settings, region }
}
