/**
 * Applies commands: of one session one after another, of different sessions side by side. Of each session at
 * most one apply runs and one waits, the newest: whatever is older is answered `superseded` without being
 * begun, and the one that runs is told to make way. Whoever asks again for what runs or waits is answered
 * together with it.
 *
 * Starts and endings have a bound each: a start takes as long as an image takes to arrive, and sixteen of
 * those must not keep a stop from being done.
 */
import type { CommandId, SessionId } from '../../domain/ids.ts'
import type { CommandFrame } from '../protocol.ts'
import { createGate } from './gate.ts'
import { createJudge } from './judge-generation.ts'
import { type Log, messageOf } from './log.ts'
import type { Applied, Platform, Target } from './platform.ts'
import type { Report } from './report-buffer.ts'
import { type Outcome, progressFrame, resultFrame } from './reports.ts'

/** One apply, wanted by one or more commands. `source` is the connection over which it came last. */
type Task = {
  readonly target: Target
  readonly commandIds: Set<CommandId>
  readonly abort: AbortController
  source: unknown
}

/** One session in work. */
type Lane = { running: Task | null; waiting: Task | null }

export type SessionExecutor = {
  readonly accept: (command: CommandFrame, source: unknown) => void
  /** Forgets what came over this connection and was not begun: the server sends it again. */
  readonly drop: (source: unknown) => void
  /** Begins nothing more, interrupts what runs. Resolves when it is over, or after `withinMs`. */
  readonly stop: (withinMs: number) => Promise<void>
}

type Dependencies = {
  readonly platform: Pick<Platform, 'held' | 'apply'>
  /** How many starts at a time, and how many endings. */
  readonly parallel: number
  readonly report: (report: Report) => void
  readonly log: Log
}

export const createSessionExecutor = ({ platform, parallel, report, log }: Dependencies): SessionExecutor => {
  const { judge, applied } = createJudge(platform)
  const lanes = new Map<SessionId, Lane>()
  const runs = new Set<Promise<void>>()
  let stopping = false

  const answer = (task: Task, outcome: Outcome): void => {
    for (const commandId of task.commandIds) report(resultFrame(commandId, task.target, outcome))
  }

  /** A place at the gate has become free for this task, unless something newer has taken its place. */
  const begin = (task: Task): boolean => {
    const lane = lanes.get(task.target.sessionId)
    if (stopping || lane?.waiting !== task) return false
    lane.waiting = null
    lane.running = task
    const run = runToEnd(task, lane)
    runs.add(run)
    void run.finally(() => runs.delete(run))
    return true
  }

  const starts = createGate<Task>(parallel, begin)
  const endings = createGate<Task>(parallel, begin)
  const gateOf = (task: Task) => (task.target.desired.state === 'running' ? starts : endings)

  const runToEnd = async (task: Task, lane: Lane): Promise<void> => {
    const outcome = await apply(task, lane)
    applied(task.target, outcome?.outcome === 'applied')
    if (outcome !== null) answer(task, outcome)
    lane.running = null
    if (lane.waiting === null) lanes.delete(task.target.sessionId)
    else gateOf(lane.waiting).enter(lane.waiting)
    gateOf(task).leave()
  }

  /** null: interrupted because the agent stops, which is nothing to tell anyone. */
  const apply = async (task: Task, lane: Lane): Promise<Outcome | null> => {
    const context = {
      signal: task.abort.signal,
      progress: (reason: string, message: string): void => {
        if (lane.running === task && !task.abort.signal.aborted)
          report(progressFrame(task.target, reason, message, new Date()))
      },
    }
    try {
      return outcomeOf(await platform.apply(task.target, context), task)
    } catch (error) {
      const { sessionId, generation } = task.target
      log.error({ err: error, sessionId, generation }, 'the platform threw instead of answering')
      return { outcome: 'failed', code: 'internal', message: messageOf(error), retryable: true, observed: null }
    }
  }

  const outcomeOf = (result: Applied, task: Task): Outcome | null => {
    switch (result.kind) {
      case 'applied':
        return { outcome: 'applied', observed: result.observed }
      case 'failed':
        return { ...result, outcome: 'failed', observed: result.observed ?? null }
      case 'rejected':
        return { ...result, outcome: 'rejected' }
      case 'interrupted':
        if (stopping) return null
        if (task.abort.signal.aborted) return { outcome: 'superseded' }
        return { outcome: 'failed', code: 'interrupted', message: 'stopped half-way', retryable: true, observed: null }
    }
  }

  /** Nothing of this session is in work: most often the platform already knows the answer. */
  const acceptFirst = (task: Task): void => {
    const verdict = judge(task.target)
    switch (verdict.kind) {
      case 'superseded':
        answer(task, { outcome: 'superseded' })
        return
      case 'applied':
        answer(task, { outcome: 'applied', observed: verdict.observed })
        return
      case 'apply':
        lanes.set(task.target.sessionId, { running: null, waiting: task })
        gateOf(task).enter(task)
    }
  }

  const acceptBehind = (lane: Lane, task: Task): void => {
    const { generation } = task.target
    for (const same of [lane.running, lane.waiting]) {
      if (same?.target.generation !== generation) continue
      for (const commandId of task.commandIds) same.commandIds.add(commandId)
      same.source = task.source
      return
    }
    const newest = lane.waiting ?? lane.running
    if (newest !== null && generation < newest.target.generation) {
      answer(task, { outcome: 'superseded' })
      return
    }
    const displaced = lane.waiting
    lane.waiting = task
    if (displaced !== null) answer(displaced, { outcome: 'superseded' })
    if (lane.running === null) gateOf(task).enter(task)
    else lane.running.abort.abort()
  }

  return {
    accept: ({ commandId, sessionId, generation, desired }, source) => {
      if (stopping) return
      const target = { sessionId, generation, desired }
      const task: Task = { target, commandIds: new Set([commandId]), abort: new AbortController(), source }
      const lane = lanes.get(sessionId)
      if (lane === undefined) acceptFirst(task)
      else acceptBehind(lane, task)
    },
    drop: (source) => {
      for (const [sessionId, lane] of lanes) {
        if (lane.waiting?.source !== source) continue
        lane.waiting = null
        if (lane.running === null) lanes.delete(sessionId)
      }
    },
    stop: async (withinMs) => {
      stopping = true
      for (const lane of lanes.values()) {
        lane.waiting = null
        lane.running?.abort.abort()
      }
      let patience: NodeJS.Timeout | undefined
      const tooLong = new Promise<void>((resolve) => {
        patience = setTimeout(resolve, withinMs)
      })
      await Promise.race([Promise.allSettled(runs), tooLong])
      clearTimeout(patience)
    },
  }
}
