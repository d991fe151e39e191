/**
 * An agent: a platform, a connection, and what passes between them. Everything that is specific to a way of
 * running sessions is behind `Platform`; everything that is specific to the protocol is in this folder.
 */
import { join } from 'node:path'
import type { SessionId } from '../../domain/ids.ts'
import { CONNECT_PATH, type CommandFrame, type Frame, type HelloFrame, PROTOCOL_VERSION } from '../protocol.ts'
import { defaultBackoff } from './backoff.ts'
import { capacityReader } from './capacity.ts'
import { keepConnected } from './connection.ts'
import { type Heartbeats, heartbeatFrame, startHeartbeats } from './heartbeat.ts'
import { answerToUndecodable, createInbox } from './inbox.ts'
import { openLastEpoch } from './last-epoch.ts'
import type { Link } from './link.ts'
import type { Log } from './log.ts'
import { createOutflow } from './outflow.ts'
import type { Platform, PlatformReport } from './platform.ts'
import { statusFrame } from './reports.ts'
import { createSessionExecutor } from './session-executor.ts'

export type AgentSettings = {
  /** The server's base, `http(s)://` or `ws(s)://`; the path of the protocol is appended. */
  readonly url: string
  readonly agentId: string
  readonly token: string
  readonly version: string
  readonly region?: string
  readonly labels?: { readonly [name: string]: string }
  /** Where the last epoch is kept. */
  readonly stateDir: string
  readonly reconnectCapMs?: number
  readonly reconnectBaseMs?: number
  /** How many sessions are started at a time, and how many ended. */
  readonly parallel?: number
}

/** `leave`: the sessions go on without an agent. `suspend`: they end, and run again at the next start. */
export type StopMode = 'leave' | 'suspend'

export type RunningAgent = {
  /** Within 10 s, as the platform allows. A second call waits for the first. */
  readonly stop: (mode: StopMode) => Promise<void>
  readonly connected: () => boolean
}

/** For measurements: told of each command as soon as it is decoded. */
export type AgentObserver = { readonly commandReceived: (command: CommandFrame) => void }

const DEFAULT_PARALLEL = 16
/** How long a stop waits for interrupted applies: together with the socket's goodbye well under 10 s. */
const INTERRUPT_WITHIN_MS = 5_000

/** Where agents connect to, below the server's base. Throws on what is no URL. */
export const connectUrl = (base: string): URL => {
  const url = new URL(base)
  if (!['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol))
    throw new TypeError(`a server's URL cannot begin with ${url.protocol}`)
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:'
  url.pathname = url.pathname.replace(/\/+$/, '') + CONNECT_PATH
  url.username = ''
  url.password = ''
  url.search = ''
  url.hash = ''
  return url
}

/** Begins somewhere in the first interval: agents that connected together do not all speak at once ever after. */
const repeating = (act: () => void, intervalMs: number): (() => void) => {
  let timer = setTimeout(() => {
    act()
    timer = setInterval(act, intervalMs)
  }, Math.random() * intervalMs)
  return () => clearInterval(timer)
}

/** Resolves when the platform is open; connecting goes on from then until `stop`, whether or not the server is there. */
export const startAgent = async (
  settings: AgentSettings,
  platform: Platform,
  log: Log,
  observer?: AgentObserver,
): Promise<RunningAgent> => {
  const url = connectUrl(settings.url)
  const lastEpoch = await openLastEpoch(join(settings.stateDir, `${settings.agentId}.last-epoch`), log)
  const capacity = capacityReader(platform, log)
  const outflow = createOutflow(platform)
  const executor = createSessionExecutor({
    platform,
    parallel: settings.parallel ?? DEFAULT_PARALLEL,
    report: outflow.report,
    log,
  })
  const inbox = createInbox(executor.accept)
  let heartbeats: Heartbeats | null = null
  let endInventories = (): void => {}
  let disconnected = false

  await platform.open({
    report: (report: PlatformReport) => {
      // What a platform says of the sessions that it suspends is not how they are meant to be.
      if (!disconnected) outflow.report(statusFrame(report, new Date()))
    },
    activity: (sessionId: SessionId, at: Date) =>
      outflow.hint({ type: 'activity', sessionId, lastActivityAt: at.toISOString() }),
    degraded: outflow.degraded,
  })

  const hello = async (): Promise<HelloFrame> => {
    const epoch = lastEpoch.get()
    return {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      agentId: settings.agentId,
      platform: platform.name,
      version: settings.version,
      capacity: await capacity.read(),
      labels: settings.labels ?? {},
      ...(settings.region === undefined ? {} : { region: settings.region }),
      ...(epoch === null ? {} : { lastEpoch: epoch }),
    }
  }

  const welcomed = (link: Link, welcome: Frame<'welcome'>): void => {
    lastEpoch.raise(welcome.epoch)
    outflow.open(link)
    const beat = (): void => link.send(heartbeatFrame(platform, new Date(), capacity.news()))
    heartbeats = startHeartbeats(beat, welcome.heartbeatIntervalMs)
    endInventories = repeating(() => outflow.requestInventory(null), welcome.inventoryIntervalMs)
  }

  const connection = keepConnected(
    {
      url,
      token: settings.token,
      backoff: {
        baseMs: settings.reconnectBaseMs ?? defaultBackoff.baseMs,
        capMs: settings.reconnectCapMs ?? defaultBackoff.capMs,
      },
    },
    {
      hello,
      welcomed,
      received: (link, frame) => {
        if (frame.type === 'inventoryRequest') return outflow.requestInventory(frame.requestId)
        observer?.commandReceived(frame)
        inbox.receive(link, frame)
      },
      pinged: () => heartbeats?.pinged(),
      undecodable: (link, error, data) => {
        log.warn({ error }, 'a frame was not understood')
        const answer = answerToUndecodable(error, data)
        if (answer?.type === 'result') outflow.report(answer)
        else if (answer !== null) link.send(answer)
      },
      lost: (link) => {
        heartbeats?.stop()
        endInventories()
        outflow.close()
        executor.drop(link)
      },
    },
    log,
  )

  const stop = async (mode: StopMode): Promise<void> => {
    inbox.close()
    await executor.stop(INTERRUPT_WITHIN_MS)
    disconnected = true
    await connection.stop()
    await lastEpoch.written()
    await (mode === 'leave' ? platform.close() : platform.suspend())
  }

  let stopped: Promise<void> | null = null
  return {
    connected: connection.isConnected,
    stop: (mode) => {
      stopped ??= stop(mode)
      return stopped
    },
  }
}
