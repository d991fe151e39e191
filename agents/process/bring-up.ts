/**
 * From whatever is there of a session to one that answers, as its restart policy allows: start the command,
 * wait until it is ready, and when it ends meanwhile decide what that means.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Exit } from '../runtime/exit.ts'
import { afterExit } from '../runtime/restart-policy.ts'
import { awaitReady } from './await-ready.ts'
import { launch } from './launch.ts'
import { lastOutput } from './output-log.ts'
import {
  type Life,
  overNow,
  report,
  runningNow,
  type Surroundings,
  save,
  settle,
  startingNow,
  startTimeoutMs,
} from './session-life.ts'
import { clearLeftovers, takeDown } from './take-down.ts'

/** `settled`: it runs, or it is over for good; `life.observed` says which. */
export type BroughtUp = 'settled' | 'interrupted'

export type Effort = {
  readonly signal: AbortSignal
  readonly progress: (reason: string, message: string) => void
  /** `whole`: one time for everything (somebody waits for the answer). `each`: for every attempt its own. */
  readonly patience: 'whole' | 'each'
  /** It has ended already, and nobody has looked at that yet. */
  readonly exit?: Exit
}

export const bringUp = async (around: Surroundings, life: Life, effort: Effort): Promise<BroughtUp> => {
  const { signal, progress } = effort
  const timeoutMs = startTimeoutMs(life.record)
  const deadlineOfAll = Date.now() + timeoutMs
  let exit = effort.exit ?? null
  let movedPort = false

  for (;;) {
    if (exit !== null) {
      if ((await weighExit(around, life, exit, effort, deadlineOfAll)) === 'over') return 'settled'
      exit = null
    }
    if (signal.aborted) return 'interrupted'
    if (life.workload === null) {
      const refusal = await launch(around, life)
      if (refusal !== null) return giveUp(around, life, refusal.reason, refusal.message, refusal.exit)
    }
    const workload = life.workload
    if (workload === null) throw new Error('a session was started and is not there')
    const deadline = effort.patience === 'whole' ? deadlineOfAll : Date.now() + timeoutMs
    const readiness = await awaitReady(around, life, workload, { signal, deadline, progress })
    switch (readiness.kind) {
      case 'interrupted':
        return 'interrupted'
      case 'ready':
        await around.step('ready')
        await ready(around, life)
        return 'settled'
      case 'ended':
        exit = readiness.exit
        break
      case 'timeout':
        if ((await takeDown(around, life, { signal })).kind === 'interrupted') return 'interrupted'
        return giveUp(around, life, 'start_timeout', readiness.message, null)
      case 'foreign':
        if ((await takeDown(around, life, { signal })).kind === 'interrupted') return 'interrupted'
        if (movedPort) return giveUp(around, life, 'probe_failed', readiness.message, null)
        movedPort = true
        await save(life, { ports: {} })
        progress('starting', `${readiness.message}; starting it again with another port`)
    }
  }
}

const ready = async (around: Surroundings, life: Life): Promise<void> => {
  const { run } = life.record
  if (run === null) return
  await settle(life, runningNow(life, around.settings.advertiseHost), {
    phase: 'up',
    run: {
      ...run,
      readyAt: new Date().toISOString(),
      shim: life.workload?.shim() ?? null,
      command: life.workload?.command() ?? null,
    },
  })
}

const giveUp = async (
  around: Surroundings,
  life: Life,
  reason: string,
  message: string,
  exit: Exit | null,
): Promise<BroughtUp> => {
  const output = await lastOutput(life.files, life.record.run?.outputFrom ?? 0)
  await settle(life, overNow(life, { status: 'failed', reason, message }, exit, output), { phase: 'down' })
  around.log.warn({ sessionId: life.record.sessionId, reason, detail: message }, 'a session failed')
  return 'settled'
}

/** The command has ended. Clears up, then either settles that it is over or waits until it may start again. */
const weighExit = async (
  around: Surroundings,
  life: Life,
  exit: Exit,
  { signal, progress, patience }: Effort,
  deadlineOfAll: number,
): Promise<'again' | 'over'> => {
  const { settings, log } = around
  const { run, restarts, sessionId, desired } = life.record
  await clearLeftovers(around, life)
  life.workload = null
  const retries = wasHealthy(run?.readyAt ?? null, settings.healthyAfterMs) ? 0 : life.record.retries
  const next = afterExit(desired.spec.restart, {
    exit,
    ending: run?.ending ?? null,
    retries,
    backoff: settings.backoff,
  })
  const output = await lastOutput(life.files, run?.outputFrom ?? 0)
  if (next.kind !== 'restart') {
    const { kind: status, reason, message } = next
    await settle(life, overNow(life, { status, reason, message }, exit, output), { phase: 'down', retries })
    log.info({ sessionId, status, reason, exit }, 'a session has ended by itself')
    return 'over'
  }
  await save(life, { phase: 'waiting', restarts: restarts + 1, retries: retries + 1 })
  await around.step('waiting_to_restart')
  log.info({ sessionId, exit, restarts: restarts + 1 }, 'a session has ended and is started again')
  progress('restarting', next.message)
  const untilDeadline = patience === 'whole' ? deadlineOfAll - Date.now() : Number.POSITIVE_INFINITY
  if (untilDeadline <= next.delayMs) {
    const message = `${next.message.split('; starting it again')[0]}, and there is no time left to start it again`
    await settle(life, overNow(life, { status: 'failed', reason: 'start_timeout', message }, exit, output), {
      phase: 'down',
    })
    return 'over'
  }
  await wait(next.delayMs, undefined, { signal }).catch(() => {})
  return 'again'
}

const wasHealthy = (readyAt: string | null, healthyAfterMs: number): boolean =>
  readyAt !== null && Date.now() - Date.parse(readyAt) >= healthyAfterMs

/** What is not asked for by anyone who waits for an answer: told as it happens. */
export const bringUpUnasked = async (
  around: Surroundings,
  life: Life,
  signal: AbortSignal,
  exit: Exit | null,
): Promise<void> => {
  const progress = (reason: string, message: string): void => {
    life.observed = startingNow(life, reason, message)
    report(around, life)
  }
  const brought = await bringUp(around, life, {
    signal,
    progress,
    patience: 'each',
    ...(exit === null ? {} : { exit }),
  })
  if (brought === 'settled') report(around, life)
}
