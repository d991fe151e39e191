/** Waits until a session that was started answers, says what it waits for, and gives up in time. */
import { setTimeout as wait } from 'node:timers/promises'
import { seconds } from '../../domain/template/restart.ts'
import type { Exit } from '../runtime/exit.ts'
import {
  DEFAULT_INTERVAL_MS,
  DEFAULT_TIMEOUT_MS,
  type Probe,
  type ProbeResult,
  probeExec,
  probeHttp,
  probeOf,
  probeTcp,
} from '../runtime/probe.ts'
import { commandOf, environmentFor } from './environment.ts'
import { type Listener, listeners, reachedBy } from './listeners.ts'
import { type Life, type Surroundings, startTimeoutMs } from './session-life.ts'
import type { Workload } from './workload.ts'

export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ended'; readonly exit: Exit }
  | { readonly kind: 'timeout'; readonly message: string }
  /** Somebody else has the port. */
  | { readonly kind: 'foreign'; readonly message: string }
  | { readonly kind: 'interrupted' }

type Waiting = {
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  readonly deadline: number
  readonly progress: (reason: string, message: string) => void
}

const FIRST_PAUSE_MS = 20

export const awaitReady = async (
  around: Surroundings,
  life: Life,
  workload: Workload,
  waiting: Waiting,
): Promise<Readiness> => {
  const { spec } = life.record.desired
  const probe = probeOf(spec)
  if (probe.type === 'invalid') return { kind: 'timeout', message: probe.message }
  const awaited = describe(probe, around, life)
  if (awaited !== null) waiting.progress('starting', `waiting for ${awaited}`)
  let last = 'not tried yet'
  let told = 'connection refused'
  let pause = FIRST_PAUSE_MS

  for (;;) {
    if (workload.command() === null) await workload.check()
    else if (probe.type === 'none' && !workload.hasEnded()) return { kind: 'ready' }
    if (workload.hasEnded()) return { kind: 'ended', exit: await workload.ended }
    if (waiting.signal.aborted) return { kind: 'interrupted' }
    if (workload.command() !== null) {
      const result = await look(probe, around, life)
      if (workload.hasEnded()) return { kind: 'ended', exit: await workload.ended }
      if (result.kind === 'answered') {
        const owner = await ownerOfPort(probe, around, life)
        if (owner === 'session') return { kind: 'ready' }
        if (owner === 'other') return { kind: 'foreign', message: foreignMessage(probe, life) }
      } else {
        last = result.why
        if (last !== told) waiting.progress('starting', `waiting for ${awaited}; last: ${last}`)
        told = last
      }
    }
    if (Date.now() >= waiting.deadline) {
      const elsewhere = await listensElsewhere(around, life)
      const waited = seconds(startTimeoutMs(life.record))
      return {
        kind: 'timeout',
        message: `waited ${waited} for ${awaited ?? 'the command to begin'}; last: ${last}${elsewhere}`,
      }
    }
    await pauseFor(Math.min(pause, Math.max(1, waiting.deadline - Date.now())), workload, waiting.signal)
    pause = Math.min(pause * 2, spec.probe?.intervalMs ?? DEFAULT_INTERVAL_MS)
  }
}

const pauseFor = async (ms: number, workload: Workload, signal: AbortSignal): Promise<void> => {
  const over = new AbortController()
  const pause = wait(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => {})
  await Promise.race([pause, workload.ended])
  over.abort()
}

/** Where a session that listens on every address is reached from here. */
export const probeHost = (bindHost: string): string =>
  bindHost === '0.0.0.0' ? '127.0.0.1' : bindHost === '::' ? '::1' : bindHost

const look = (probe: Probe, around: Surroundings, life: Life): Promise<ProbeResult> => {
  const host = probeHost(around.settings.bindHost)
  const { spec } = life.record.desired
  const timeoutMs = spec.probe?.timeoutMs ?? DEFAULT_TIMEOUT_MS
  switch (probe.type) {
    case 'none':
      return Promise.resolve({ kind: 'answered' })
    case 'tcp':
      return probeTcp(host, life.record.ports[probe.portName] ?? 0, timeoutMs)
    case 'http':
      return probeHttp(host, life.record.ports[probe.portName] ?? 0, probe.path, timeoutMs)
    case 'exec':
      return probeExec([...around.host.noNewPrivileges, ...commandOf(around.host, life.record, probe.command)], {
        cwd: life.record.home,
        env: environmentFor(around.host, around.settings.bindHost, life.record),
        uid: life.record.uid,
        timeoutMs,
      })
  }
}

const describe = (probe: Probe, around: Surroundings, life: Life): string | null => {
  const host = probeHost(around.settings.bindHost)
  const at = (name: string): string => `${host.includes(':') ? `[${host}]` : host}:${life.record.ports[name]}`
  switch (probe.type) {
    case 'none':
      return null
    case 'tcp':
      return `${at(probe.portName)} (port ${probe.portName}, tcp) to open`
    case 'http':
      return `http://${at(probe.portName)}${probe.path} (port ${probe.portName}) to answer`
    case 'exec':
      return `the probe's command (${probe.command.join(' ').slice(0, 200)}) to succeed`
  }
}

const sessionListeners = async (around: Surroundings, life: Life): Promise<readonly Listener[]> => {
  const pids = (await around.members(life)).map(({ pid }) => pid)
  return listeners(pids, life.record.uid ?? process.getuid?.() ?? 0)
}

/** Whom a connection to the probed port reaches. An exec probe has no port: the command knows. */
const ownerOfPort = async (probe: Probe, around: Surroundings, life: Life): Promise<'session' | 'other' | 'nobody'> => {
  if (probe.type === 'none' || probe.type === 'exec') return 'session'
  const port = life.record.ports[probe.portName] ?? 0
  const all = await sessionListeners(around, life)
  const reached = reachedBy(all, probeHost(around.settings.bindHost), port)
  // Not as root lsof shows one's own processes only: an answer from nobody is an answer from someone else.
  if (reached.length === 0) return process.platform === 'linux' ? 'nobody' : 'other'
  return reached.every(({ owner }) => owner !== 'other') ? 'session' : 'other'
}

const foreignMessage = (probe: Probe, life: Life): string =>
  probe.type === 'tcp' || probe.type === 'http'
    ? `another process, not of this session, listens on its port ${life.record.ports[probe.portName]} (${probe.portName})`
    : 'another process has the port'

/** The most common mistake of a new template: the program listens, but not where it was told. */
const listensElsewhere = async (around: Surroundings, life: Life): Promise<string> => {
  const own = (await sessionListeners(around, life)).filter(({ owner }) => owner === 'session')
  const places = [...new Set(own.map(({ address, port }) => `${address}:${port}`))].slice(0, 5)
  if (places.length === 0) return ''
  return `; the session listens on ${places.join(', ')} (the port to listen on is in the variable PORT)`
}
