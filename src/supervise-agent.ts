/**
 * Runs the local agent as a child process and starts it again when it ends. The child is in a process group
 * of its own, so that the terminal's Ctrl-C reaches it through us alone and in order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { SUSPEND } from './agent.ts'
import type { LocalAgent } from './enrol-local-agent.ts'

const CLI = fileURLToPath(new URL('./cli.ts', import.meta.url))
const RESTART_AFTER_MS = 500
/** What an orderly end may take before the agent is left to itself: its sessions run on and are adopted. */
const STOP_WITHIN_MS = 7_000

/** Not the agent's business, and not to be found in its environment by anyone who can read that. */
const WITHHELD = [
  'DATABASE_URL',
  'STREAMSPACE_DATABASE_DIRECT_URL',
  'STREAMSPACE_SECRET_KEY',
  'STREAMSPACE_ADMIN_KEY',
  'STREAMSPACE_API_KEY',
  'STREAMSPACE_AGENT_TOKEN',
]

export type SupervisedAgent = { readonly stop: () => Promise<void> }

export const superviseAgent = (
  agent: LocalAgent & { readonly url: string; readonly dataDir: string },
  log: Logger,
): SupervisedAgent => {
  let stopping = false
  let child: ChildProcess | null = null
  let restart: NodeJS.Timeout | undefined

  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    LOG_LEVEL: log.level,
    STREAMSPACE_URL: agent.url,
    STREAMSPACE_AGENT_ID: agent.agentId,
    STREAMSPACE_AGENT_TOKEN_FILE: agent.tokenFile,
    STREAMSPACE_DATA_DIR: agent.dataDir,
    // It is on this machine: back within a second or two whenever the server is.
    STREAMSPACE_RECONNECT_CAP_MS: process.env.STREAMSPACE_RECONNECT_CAP_MS ?? '2000',
  }
  for (const name of WITHHELD) delete environment[name]

  const start = (): void => {
    child = spawn(process.execPath, [CLI, 'agent', 'process'], {
      detached: true,
      env: environment,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child.on('error', (error) => log.error({ err: error }, 'the agent did not start'))
    child.on('exit', (code, signal) => {
      child = null
      if (stopping) return
      log.warn({ code, signal }, 'the agent ended and is started again')
      restart = setTimeout(start, RESTART_AFTER_MS)
    })
  }
  start()

  return {
    stop: async () => {
      stopping = true
      clearTimeout(restart)
      const running = child
      if (running === null || running.exitCode !== null) return
      const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()))
      const late = new Promise<void>((resolve) => setTimeout(resolve, STOP_WITHIN_MS).unref())
      if (running.connected) running.send(SUSPEND)
      await Promise.race([ended, late])
    },
  }
}
