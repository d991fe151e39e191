/**
 * Ending all processes of a session: SIGTERM to every one of them, once, then, when the time it was given is over,
 * SIGKILL, until none is found any more. A pid is signalled only right after it was seen to be the session's.
 *
 * What the command starts in its own group after that was told to end is not told: it is how the command ends
 * (a helper that saves something), and a second SIGTERM would cut that short, or begin it again. What is found
 * only later outside of the group is told: nobody may have told it, such as one forked while all were looked at.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type Identity, keyOf, type ProcessRow, readProcess, readProcessTable, sameProcess } from './process-table.ts'

export type Terminated =
  | { readonly kind: 'gone' }
  | { readonly kind: 'interrupted' }
  /** Killed, and still there: stuck in the kernel. */
  | { readonly kind: 'stuck'; readonly pids: readonly number[] }

const KILL_WITHIN_MS = 10_000
const FIRST_LOOK_MS = 10
const LONGEST_LOOK_MS = 200

const send = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone meanwhile, or become someone else's, and then it is not ours to signal.
  }
}

export const signalAll = (rows: readonly ProcessRow[], command: Identity | null, signal: NodeJS.Signals): void => {
  // The group first and at once: whoever is being forked at this moment is in it already.
  if (command !== null && rows.some(({ group }) => group === command.pid)) send(-command.pid, signal)
  for (const { pid, group } of rows) if (group !== command?.pid) send(pid, signal)
}

export const terminate = async (options: {
  readonly find: () => Promise<readonly ProcessRow[]>
  readonly command: () => Identity | null
  readonly graceMs: number
  readonly signal?: AbortSignal | undefined
}): Promise<Terminated> => {
  const { find, command, graceMs, signal } = options
  const began = Date.now()
  const told = new Set<string>()
  let groupTold = false
  let pause = FIRST_LOOK_MS

  for (;;) {
    const rows = await find()
    if (rows.length === 0) return { kind: 'gone' }
    if (signal?.aborted) return { kind: 'interrupted' }
    const elapsed = Date.now() - began
    if (elapsed >= graceMs + KILL_WITHIN_MS) return { kind: 'stuck', pids: rows.map(({ pid }) => pid) }
    if (elapsed >= graceMs) signalAll(rows, command(), 'SIGKILL')
    else {
      const leader = command()
      const inGroup = ({ group }: ProcessRow): boolean => group === leader?.pid
      const fresh = rows.filter((row) => !told.has(keyOf(row)) && !(groupTold && inGroup(row)))
      for (const row of fresh) told.add(keyOf(row))
      groupTold ||= fresh.some(inGroup)
      if (fresh.length > 0) {
        signalAll(fresh, leader, 'SIGTERM')
        // One that was stopped hears of it only when it goes on.
        signalAll(fresh, leader, 'SIGCONT')
      }
    }
    const untilKill = elapsed < graceMs ? graceMs - elapsed : LONGEST_LOOK_MS
    await wait(Math.max(1, Math.min(pause, untilKill)))
    pause = Math.min(LONGEST_LOOK_MS, pause * 2)
  }
}

/**
 * The shim has nothing left to wait for: it is given a moment to write, then it goes as well. If it does wait,
 * then for a command that nobody has learnt of: that one goes with it. Stopped first, it cannot start one meanwhile.
 */
export const endShim = async (shim: Identity, withinMs = 2_000): Promise<void> => {
  const until = Date.now() + withinMs
  for (;;) {
    const row = await readProcess(shim.pid)
    if (row === null || !sameProcess(row, shim)) return
    if (Date.now() > until) {
      send(shim.pid, 'SIGSTOP')
      for (const { pid, parent } of await readProcessTable()) if (parent === shim.pid) send(pid, 'SIGKILL')
      return send(shim.pid, 'SIGKILL')
    }
    await wait(FIRST_LOOK_MS)
  }
}
