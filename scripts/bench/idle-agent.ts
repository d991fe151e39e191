/**
 * An agent for benchmarks: the real runtime on a platform that does nothing, with room for everything.
 *
 *   STREAMSPACE_URL, STREAMSPACE_AGENT_ID, STREAMSPACE_AGENT_TOKEN   as for any agent
 *   STREAMSPACE_PLATFORM          what it was enrolled for (default: process)
 *   STREAMSPACE_RECONNECT_CAP_MS  the longest wait between two tries (default: 30000)
 *   STREAMSPACE_BENCH_TIMES=1     notes when each command arrived; SIGUSR2, and the end, append what was noted
 *   STREAMSPACE_BENCH_FILE        … to this file, a line of JSON each: {sessionId, generation, receivedAtMs}
 *
 * Times are of the wall clock, in milliseconds since 1970 with the fraction that the platform's clock has, so
 * that they can be compared with those of other processes of this machine.
 */
import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { CommandFrame } from '../../agents/protocol.ts'
import { startAgent } from '../../agents/runtime/agent.ts'
import { createLedgerPlatform } from '../../test/support/ledger-platform.ts'

const { env } = process

const needed = (name: string): string => {
  const value = env[name]
  if (value !== undefined && value !== '') return value
  process.stderr.write(`${name} is not set\n`)
  process.exit(2)
}

type Arrivals = { readonly note: (command: CommandFrame) => void; readonly write: () => void }

const arrivalsInto = (path: string): Arrivals => {
  let noted: { readonly sessionId: string; readonly generation: number; readonly receivedAtMs: number }[] = []
  return {
    note: ({ sessionId, generation }) =>
      noted.push({ sessionId, generation, receivedAtMs: performance.timeOrigin + performance.now() }),
    write: () => {
      const lines = noted.map((arrival) => JSON.stringify(arrival))
      noted = []
      // Made even when there is nothing to say: whoever asked by signal waits for the file.
      appendFileSync(path, lines.map((line) => `${line}\n`).join(''))
    },
  }
}

const url = env.STREAMSPACE_URL ?? 'http://127.0.0.1:8080'
const agentId = needed('STREAMSPACE_AGENT_ID')
const token = needed('STREAMSPACE_AGENT_TOKEN')
const arrivals = env.STREAMSPACE_BENCH_TIMES === '1' ? arrivalsInto(needed('STREAMSPACE_BENCH_FILE')) : null

const log = pino({ level: env.LOG_LEVEL ?? 'warn' }, pino.destination({ dest: 2, sync: true }))
const stateDir = await mkdtemp(join(tmpdir(), 'streamspace-idle-agent-'))
const platform = createLedgerPlatform({ name: env.STREAMSPACE_PLATFORM ?? 'process', keepEffects: false })
const agent = await startAgent(
  {
    url,
    agentId,
    token,
    version: 'bench',
    stateDir,
    reconnectCapMs: Number(env.STREAMSPACE_RECONNECT_CAP_MS ?? 30_000),
  },
  platform,
  log,
  arrivals === null ? undefined : { commandReceived: arrivals.note },
)

const stop = async (): Promise<void> => {
  await agent.stop('leave')
  arrivals?.write()
  await rm(stateDir, { recursive: true, force: true })
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop().then(() => process.exit(0)))
process.on('SIGUSR2', () => arrivals?.write())
