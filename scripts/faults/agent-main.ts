/**
 * An agent for fault runs: the real runtime on the durable stand-in of a platform, a process of its own.
 *
 *   STREAMSPACE_URL, STREAMSPACE_AGENT_ID, STREAMSPACE_AGENT_TOKEN   as for any agent
 *   FAULTS_DIRECTORY         where the ledger and the last epoch are
 *   FAULTS_RECONNECT_CAP_MS  the longest wait between two tries
 *
 * It hears over the channel of its parent when a session is to end or to run again by itself, tells each line of
 * its ledger, and ends when the channel does: a harness that dies leaves no agent behind.
 */
import { pino } from 'pino'
import { startAgent } from '../../agents/runtime/agent.ts'
import type { Log } from '../../agents/runtime/log.ts'
import { writeCompiled } from '../../src/program/compiled.ts'
import { createDurablePlatform } from './durable-platform.ts'

const { env } = process

const needed = (name: string): string => {
  const value = env[name]
  if (value !== undefined && value !== '') return value
  process.stderr.write(`${name} is not set\n`)
  process.exit(2)
}

const directory = needed('FAULTS_DIRECTORY')
const sink = pino({ level: env.LOG_LEVEL ?? 'fatal' }, pino.destination({ dest: 2, sync: true }))
let epoch: number | null = null
/** The runtime says its epoch to its log alone; the ledger wants it beside each effect. */
const log: Log = {
  debug: (details, message) => sink.debug(details, message),
  info: (details, message) => {
    const said = (details as { readonly epoch?: unknown }).epoch
    if (typeof said === 'number') epoch = said
    sink.info(details, message)
  },
  warn: (details, message) => sink.warn(details, message),
  error: (details, message) => sink.error(details, message),
}

const tell = (message: object): void => {
  if (process.connected) process.send?.(message)
}

const platform = createDurablePlatform({
  directory,
  capacity: { maxSessions: 100_000, cpuMillis: 100_000_000, memoryMib: 100_000_000 },
  epoch: () => epoch,
  written: (line) => tell({ line }),
})

const agent = await startAgent(
  {
    url: needed('STREAMSPACE_URL'),
    agentId: needed('STREAMSPACE_AGENT_ID'),
    token: needed('STREAMSPACE_AGENT_TOKEN'),
    version: 'faults',
    stateDir: directory,
    reconnectCapMs: Number(needed('FAULTS_RECONNECT_CAP_MS')),
  },
  platform,
  log,
)

type Word =
  | { readonly crash: number; readonly staying: boolean; readonly preferred: readonly string[] }
  | { readonly revive: string }

process.on('message', (word: Word) => {
  if ('crash' in word) tell({ crashed: platform.crash(word.crash, word.staying, new Set(word.preferred)) })
  else platform.revive(word.revive)
})
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => void agent.stop('leave').then(() => process.exit(0)))
tell({ up: true })
// It is killed again and again, and never ends in order.
writeCompiled()
