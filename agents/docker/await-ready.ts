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
import { type Engine, EngineError, type Inspected, isFullDisk, isUnreachable } from './engine.ts'
import { portOutside, type Session, type Surroundings, startTimeoutMs } from './session.ts'
import { inspectWorkload } from './workload.ts'

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
/** The engine tells of an end by itself; a probe is cheaper than asking it. */
const ASK_AT_LEAST_EVERY_MS = 500
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
  const look = lookWith(probe, around, session)
  let last = 'not tried yet'
  let told = 'connection refused'
  let pause = FIRST_PAUSE_MS
  /** When the engine was asked last, and what had been heard of the session by then. */
  let asked = { at: Number.NEGATIVE_INFINITY, heard: session.heard }
  /** null: it runs. */
  const endOf = async (): Promise<Readiness | null> => {
    asked = { at: Date.now(), heard: session.heard }
    const inspected = await inspectWorkload(around, session)
    if (inspected === null || !inspected.running) return { kind: 'ended', inspected }
    session.published = inspected.published
    return null
  }

  for (;;) {
    const isTold = session.heard !== asked.heard || Date.now() - asked.at >= ASK_AT_LEAST_EVERY_MS
    const end = isTold ? await endOf() : null
    if (end !== null) return end
    if (waiting.signal.aborted) return { kind: 'interrupted' }
    const result = await look()
    // What answers may be another's, which was given the port of one that has ended.
    if (result.kind === 'answered') return (isTold ? null : await endOf()) ?? { kind: 'ready' }
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

type Look = () => Promise<ProbeResult>

const lookWith = (probe: Probe, around: Surroundings, session: Session): Look => {
  const { anchor, workload } = session
  const timeoutMs = anchor?.desired.spec.probe?.timeoutMs ?? DEFAULT_TIMEOUT_MS
  if (probe.type === 'none' || workload === null) return async () => ({ kind: 'answered' })
  if (probe.type === 'exec') return execLook(around.engine, workload.name, probe.command, timeoutMs)
  return async () => {
    const port = portOutside(session, probe.portName)
    if (port === undefined) return { kind: 'refused', why: 'the port is not published yet' }
    const host = reached(around.settings.publishAddress)
    return probe.type === 'tcp'
      ? probeTcp(host, port, timeoutMs, HELD_FOR_MS)
      : probeHttp(host, port, probe.path, timeoutMs)
  }
}

/** One at a time: the engine cannot end a command that hangs, and each would be one more process of the session's. */
export const execLook = (
  engine: Pick<Engine, 'beginExec' | 'execEnded'>,
  name: string,
  command: readonly string[],
  timeoutMs: number,
): Look => {
  let hanging: string | null = null

  const once = async (): Promise<ProbeResult> => {
    if (hanging !== null && (await engine.execEnded(hanging)) === null)
      return { kind: 'refused', why: `the probe's command did not end within ${timeoutMs} ms, and runs still` }
    hanging = null
    const id = await engine.beginExec(name, command)
    const until = Date.now() + timeoutMs
    for (let pause = 10; ; pause = Math.min(pause * 2, 100)) {
      const exitCode = await engine.execEnded(id)
      if (exitCode === 0) return { kind: 'answered' }
      if (exitCode !== null) return { kind: 'refused', why: `the probe's command ended with exit code ${exitCode}` }
      if (Date.now() >= until) {
        hanging = id
        return { kind: 'refused', why: `the probe's command did not end within ${timeoutMs} ms` }
      }
      await wait(pause)
    }
  }

  return () =>
    once().catch((error: unknown) => {
      // Neither says anything of the session. All else does: its program has just ended, or has no such command.
      if (!(error instanceof EngineError) || isUnreachable(error) || isFullDisk(error)) throw error
      hanging = null
      return { kind: 'refused', why: `the probe's command cannot be run: ${error.message}` }
    })
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
