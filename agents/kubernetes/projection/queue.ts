/**
 * Names whose turn comes after a while, each at most once in the queue and at most once under way, and few at a time:
 * what happens to a thousand sessions in one moment is a steady trickle of writes.
 */
import { setTimeout as wait } from 'node:timers/promises'

export type Queue = {
  /** Its turn comes after so long, or sooner where that was said before. */
  readonly mark: (name: string, inMs: number) => void
  /** Nobody's turn comes for so long. */
  readonly pause: (ms: number) => void
  /** Nothing is begun any more. Resolves when what was under way is over, or soon: nobody waits for a server that is away. */
  readonly close: () => Promise<void>
}

const CLOSED_WITHIN_MS = 1_000

/** `work` never rejects. */
export const createQueue = (parallel: number, work: (name: string) => Promise<void>): Queue => {
  const waiting = new Map<string, { readonly at: number; readonly timer: NodeJS.Timeout }>()
  const ready = new Set<string>()
  const running = new Map<string, Promise<void>>()
  /** Marked while they were under way. */
  const again = new Map<string, number>()
  let pausedUntil = 0
  let resume: NodeJS.Timeout | null = null
  let closed = false

  const mark = (name: string, inMs: number): void => {
    if (closed || ready.has(name)) return
    const at = performance.now() + inMs
    if (running.has(name)) {
      again.set(name, Math.min(at, again.get(name) ?? at))
      return
    }
    const before = waiting.get(name)
    if (before !== undefined && before.at <= at) return
    clearTimeout(before?.timer)
    const timer = setTimeout(
      () => {
        waiting.delete(name)
        ready.add(name)
        pump()
      },
      Math.max(0, inMs),
    )
    waiting.set(name, { at, timer })
  }

  const pump = (): void => {
    for (const name of ready) {
      if (closed || running.size >= parallel || performance.now() < pausedUntil) return
      ready.delete(name)
      running.set(
        name,
        work(name).then(() => {
          running.delete(name)
          const at = again.get(name)
          again.delete(name)
          if (at !== undefined) mark(name, at - performance.now())
          pump()
        }),
      )
    }
  }

  return {
    mark,
    pause: (ms) => {
      pausedUntil = Math.max(pausedUntil, performance.now() + ms)
      if (resume !== null) clearTimeout(resume)
      resume = setTimeout(() => {
        // A timer may fire a moment early, and no other follows.
        pausedUntil = 0
        pump()
      }, pausedUntil - performance.now())
    },
    close: async () => {
      closed = true
      if (resume !== null) clearTimeout(resume)
      for (const { timer } of waiting.values()) clearTimeout(timer)
      const patience = new AbortController()
      await Promise.race([
        Promise.all(running.values()),
        wait(CLOSED_WITHIN_MS, undefined, { signal: patience.signal }).catch(() => {}),
      ])
      patience.abort()
    },
  }
}
