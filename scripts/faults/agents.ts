/** The agents of a run: processes with the real runtime, each behind a proxy that knows which commands are in flight. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Finding } from './check.ts'
import { createLaneOrder } from './lane-order.ts'
import type { LedgerLine } from './ledger.ts'
import type { Processes, Running } from './processes.ts'
import { type Aim, type Direction, type FaultyProxy, type Line, startProxy } from './proxy.ts'
import type { Replica } from './servers.ts'

/** At which moment of a command's way its connection is struck. */
export type Moment =
  | 'within the command'
  | 'before the ack'
  | 'after the ack'
  | 'after the apply'
  | 'before the result'
  | 'after the result'
  | 'lost'

export type FaultyAgent = {
  readonly id: string
  readonly ledger: string
  readonly directory: string
  readonly proxy: FaultyProxy
  /** Commands on their way or being applied, as the proxy has seen them. */
  readonly inFlight: () => number
  readonly isUp: () => boolean
  /** The replica that its newest connection goes to, once it is welcomed there. */
  readonly speaksWith: () => Replica | null
  /** Since that welcome, in milliseconds; 0 without one. */
  readonly connectedFor: () => number
  /** Whole inventories that it has sent so far. */
  readonly inventories: () => number
  /** Statuses of its sessions that it has sent so far. */
  readonly statuses: () => number
  /** What its servers sent it out of order. */
  readonly disordered: () => readonly Finding[]
  /** Its next connections do not go to this one. */
  readonly avoid: (replica: Replica | null) => void
  /** Refuses connections. */
  readonly isolate: (isolated: boolean) => void
  /** Strikes the next command at this moment. Resolves true when it did, false when none came in time. */
  readonly strike: (moment: Moment, withinMs: number) => Promise<boolean>
  readonly start: (clockShiftMs?: number) => void
  readonly signal: (signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT') => void
  readonly gone: () => Promise<void>
  /** Which session ended by itself, or null when none ran. `staying`: one that no other agent can be given. */
  readonly crash: (chosen: number, which: 'any' | 'staying', preferred: Iterable<string>) => Promise<string | null>
  readonly revive: (session: string) => void
  readonly output: () => readonly string[]
}

export type FaultyAgentSettings = {
  readonly id: string
  readonly token: string
  readonly directory: string
  readonly reconnectCapMs: number
  readonly replicas: readonly Replica[]
  /** Draws which replica a connection goes to. */
  readonly choose: (from: readonly Replica[]) => Replica | undefined
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

type Trap = { readonly moment: Moment; readonly done: (struck: boolean) => void; command: string | null }

export const createFaultyAgent = async (processes: Processes, settings: FaultyAgentSettings): Promise<FaultyAgent> => {
  const directory = join(settings.directory, settings.id)
  await mkdir(directory, { recursive: true })
  const inFlight = new Set<string>()
  let running: Running | null = null
  let avoided: Replica | null = null
  let isolated = false
  const order = createLaneOrder(settings.id)
  let welcomedOn: Line | null = null
  let welcomedAt = 0
  let inventories = 0
  let statuses = 0
  let trap: Trap | null = null
  let crashed: ((session: string | null) => void) | null = null

  const spring = (): void => {
    trap?.done(true)
    trap = null
  }

  const onCommand = (id: string): Aim => {
    inFlight.add(id)
    if (trap === null) return 'pass'
    trap.command ??= id
    if (trap.command !== id || (trap.moment !== 'lost' && trap.moment !== 'within the command')) return 'pass'
    const aim = trap.moment === 'lost' ? 'lose' : 'cut within'
    spring()
    return aim
  }

  const onAck = (ids: readonly string[]): Aim => {
    if (trap === null || trap.command === null || !ids.includes(trap.command)) return 'pass'
    if (trap.moment !== 'before the ack' && trap.moment !== 'after the ack') return 'pass'
    const aim = trap.moment === 'before the ack' ? 'cut before' : 'cut after'
    spring()
    return aim
  }

  const onResult = (id: string): Aim => {
    inFlight.delete(id)
    if (trap === null || trap.command !== id) return 'pass'
    const aim = trap.moment === 'after the result' ? 'cut after' : 'cut before'
    spring()
    return aim
  }

  const seen = (_direction: Direction, frame: { readonly [field: string]: unknown }, line: Line): Aim => {
    switch (frame.type) {
      case 'welcome':
        welcomedOn = line
        welcomedAt = performance.now()
        return 'pass'
      case 'command':
        order.command(line, String(frame.sessionId), Number(frame.generation))
        return onCommand(String(frame.commandId))
      case 'inventory':
        if (frame.final === true) inventories += 1
        return 'pass'
      case 'status':
        statuses += 1
        return 'pass'
      case 'ack':
        return Array.isArray(frame.commandIds) ? onAck(frame.commandIds) : 'pass'
      case 'result':
        return onResult(String(frame.commandId))
      default:
        return 'pass'
    }
  }

  const target = (): number | null => {
    if (isolated) return null
    const choice = settings.replicas.filter((replica) => replica !== avoided && replica.port() !== null)
    return settings.choose(choice)?.port() ?? null
  }

  const proxy = await startProxy({
    target,
    seen,
    closed: (line) => {
      if (line !== welcomedOn) return
      welcomedOn = null
      inFlight.clear()
    },
  })

  const heard = (message: { readonly line?: LedgerLine; readonly crashed?: string | null }): void => {
    if (message.crashed !== undefined) crashed?.(message.crashed)
    if (message.line?.what !== 'effect' || trap?.moment !== 'after the apply' || trap.command === null) return
    spring()
    for (const line of proxy.lines()) line.cut()
  }

  const say = (word: object): void => {
    if (running?.child.connected) running.child.send(word, () => {})
  }

  return {
    id: settings.id,
    ledger: join(directory, 'ledger.jsonl'),
    directory,
    proxy,
    inFlight: () => inFlight.size,
    isUp: () => running?.isAlive() ?? false,
    speaksWith: () => settings.replicas.find((replica) => String(replica.port()) === welcomedOn?.target) ?? null,
    connectedFor: () => (welcomedOn === null ? 0 : performance.now() - welcomedAt),
    inventories: () => inventories,
    statuses: () => statuses,
    disordered: order.findings,
    avoid: (replica) => {
      avoided = replica
    },
    isolate: (now) => {
      isolated = now
    },
    strike: (moment, withinMs) =>
      new Promise((resolve) => {
        trap?.done(false)
        const timer = setTimeout(() => {
          if (trap === mine) trap = null
          resolve(false)
        }, withinMs)
        const mine: Trap = {
          moment,
          command: null,
          done: (struck) => {
            clearTimeout(timer)
            resolve(struck)
          },
        }
        trap = mine
      }),
    start: (clockShiftMs = 0) => {
      const shifted = clockShiftMs === 0 ? [] : ['--import', here('wrong-clock.ts')]
      const started = processes.start({
        command: process.execPath,
        args: [...shifted, here('agent-main.ts')],
        env: {
          STREAMSPACE_URL: proxy.url,
          STREAMSPACE_AGENT_ID: settings.id,
          STREAMSPACE_AGENT_TOKEN: settings.token,
          FAULTS_DIRECTORY: directory,
          FAULTS_RECONNECT_CAP_MS: String(settings.reconnectCapMs),
          FAULTS_CLOCK_SHIFT_MS: String(clockShiftMs),
        },
        channel: true,
      })
      started.child.on('message', (message) => heard(message as Parameters<typeof heard>[0]))
      running = started
    },
    signal: (signal) => void running?.child.kill(signal),
    gone: async () => running?.gone,
    crash: (chosen, which, preferred) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(null), 2_000)
        crashed = (session) => {
          clearTimeout(timer)
          crashed = null
          resolve(session)
        }
        say({ crash: chosen, staying: which === 'staying', preferred: [...preferred] })
      }),
    revive: (session) => say({ revive: session }),
    output: () => running?.output() ?? [],
  }
}
