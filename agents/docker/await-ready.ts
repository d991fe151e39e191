/** Waits until a session that was started answers, says what it waits for, and gives up in time. */
import { setTimeout as wait } from 'node:timers/promises'
import { seconds } from '../../domain/template/restart.ts'
import {
  DEFAULT_INTERVAL_MS,
  DEFAULT_TIMEOUT_MS,
  type Probe,
  type ProbeResult,
  probeHttp,
  probeOf,
  probeTcp,
} from '../runtime/probe.ts'
import { type Inspected, isMissing } from './engine.ts'
import { portOutside, type Session, type Surroundings, startTimeoutMs } from './session.ts'

export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ended'; readonly inspected: Inspected | null }
  | { readonly kind: 'timeout'; readonly message: string }
  | { readonly kind: 'interrupted' }

type Waiting = {
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  readonly deadline: number
  readonly progress: (reason: string, message: string) => void
}

const FIRST_PAUSE_MS = 20
/** The engine's proxy takes a connection before it knows whether anybody listens inside, and drops it at once when nobody does. */
const HELD_FOR_MS = 50

/** Where a port that is published on every address is reached from here. */
const reached = (publishAddress: string): string =>
  publishAddress === '0.0.0.0' ? '127.0.0.1' : publishAddress === '::' ? '::1' : publishAddress

export const awaitReady = async (around: Surroundings, session: Session, waiting: Waiting): Promise<Readiness> => {
  const { anchor, workload } = session
  if (anchor === null || workload === null) return { kind: 'ended', inspected: null }
  const { spec } = anchor.desired
  const probe = probeOf(spec)
  if (probe.type === 'invalid') return { kind: 'timeout', message: probe.message }
  const awaited = describe(probe)
  if (awaited !== null) waiting.progress('starting', `waiting for ${awaited}`)
  let last = 'not tried yet'
  let told = 'connection refused'
  let pause = FIRST_PAUSE_MS

  for (;;) {
    const inspected = await around.engine.inspect(workload.name).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
    if (inspected === null || !inspected.running) return { kind: 'ended', inspected }
    session.published = inspected.published
    if (waiting.signal.aborted) return { kind: 'interrupted' }
    const result = await look(probe, around, session)
    if (result.kind === 'answered') return { kind: 'ready' }
    last = result.why
    if (last !== told) waiting.progress('starting', `waiting for ${awaited}; last: ${last}`)
    told = last
    if (Date.now() >= waiting.deadline) {
      const waited = seconds(startTimeoutMs(anchor.desired))
      return { kind: 'timeout', message: `waited ${waited} for ${awaited ?? 'the program to begin'}; last: ${last}` }
    }
    await wait(Math.min(pause, Math.max(1, waiting.deadline - Date.now())), undefined, {
      signal: waiting.signal,
    }).catch(() => {})
    pause = Math.min(pause * 2, spec.probe?.intervalMs ?? DEFAULT_INTERVAL_MS)
  }
}

const look = async (probe: Probe, around: Surroundings, session: Session): Promise<ProbeResult> => {
  const { anchor, workload } = session
  const timeoutMs = anchor?.desired.spec.probe?.timeoutMs ?? DEFAULT_TIMEOUT_MS
  if (probe.type === 'none' || workload === null) return { kind: 'answered' }
  if (probe.type === 'exec') {
    const { exitCode } = await around.engine.exec(workload.name, probe.command, timeoutMs)
    if (exitCode === 0) return { kind: 'answered' }
    return {
      kind: 'refused',
      why:
        exitCode === null
          ? `the probe's command did not end within ${timeoutMs} ms`
          : `the probe's command ended with exit code ${exitCode}`,
    }
  }
  const port = portOutside(session, probe.portName)
  if (port === undefined) return { kind: 'refused', why: 'the port is not published yet' }
  const host = reached(around.settings.publishAddress)
  return probe.type === 'tcp'
    ? probeTcp(host, port, timeoutMs, HELD_FOR_MS)
    : probeHttp(host, port, probe.path, timeoutMs)
}

const describe = (probe: Probe): string | null => {
  switch (probe.type) {
    case 'none':
      return null
    case 'tcp':
      return `port ${probe.portName} (tcp) to open`
    case 'http':
      return `port ${probe.portName} to answer GET ${probe.path}`
    case 'exec':
      return `the probe's command (${probe.command.join(' ').slice(0, 200)}) to succeed`
  }
}
