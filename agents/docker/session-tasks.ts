/**
 * One thing at a time is done with a session, and a look at it is one: what was listed before something was done is not
 * judged after it. What is asked for interrupts what is under way; what nobody asked for gives way.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Registry } from './apply.ts'
import type { Session } from './session.ts'

const LOOK_AGAIN_MS = 5_000

export type Looking<Found, Circumstances> = {
  readonly session: (id: SessionId) => Session | undefined
  /** What the engine has of it; null: nobody is to judge it. */
  readonly list: (id: SessionId) => Promise<Found | null>
  readonly judge: (id: SessionId, found: Found, circumstances: Circumstances | undefined) => Promise<void>
  /** A look that nobody waits for went wrong; it is tried again by itself. */
  readonly failed: (error: unknown) => void
}

export type SessionTasks<Circumstances> = Pick<Registry, 'run' | 'runUnasked' | 'lookLater'> & {
  /** Only while nothing is being done with it: else when that is over. */
  readonly look: (id: SessionId, circumstances?: Circumstances) => Promise<void>
  /** The same, and nobody waits for it. */
  readonly lookSoon: (id: SessionId) => void
  /** Nothing is begun any more that nobody asked for, and nothing that was listed is judged. */
  readonly stop: () => void
  /** Interrupts everything; resolves when it has ended, looks too: one that goes on would write down again what its next owner removes. */
  readonly end: () => Promise<void>
}

type Task = { readonly controller: AbortController; readonly done: Promise<unknown> }

export const createSessionTasks = <Found, Circumstances>(
  looking: Looking<Found, Circumstances>,
): SessionTasks<Circumstances> => {
  const tasks = new Map<SessionId, Task>()
  const looks = new Map<SessionId, Promise<void>>()
  const later = new Map<SessionId, NodeJS.Timeout>()
  let stopped = false
  let ending = false

  /** How often something was begun or ended with a session: what was listed before is old then. */
  const changes = new Map<SessionId, number>()
  const changed = (id: SessionId): void => void changes.set(id, (changes.get(id) ?? 0) + 1)

  /** Of a session of which nothing is left, unless a look is under way that compares. */
  const forgetGone = (id: SessionId): void => {
    if (looking.session(id) === undefined && !looks.has(id)) changes.delete(id)
  }

  const run: Registry['run'] = async (session, work) => {
    const { id } = session
    for (;;) {
      const busy = tasks.get(id)
      const look = looks.get(id)
      if (busy === undefined && look === undefined) break
      busy?.controller.abort()
      await (busy?.done ?? look)
    }
    return begin(session, work)
  }

  const begin: Registry['run'] = async (session, work) => {
    const { id } = session
    changed(id)
    const controller = new AbortController()
    // It has waited for another that was interrupted, and is not to do anything either.
    if (ending) controller.abort()
    const result = work(controller.signal)
    const task = { controller, done: result.catch(() => {}) }
    tasks.set(id, task)
    try {
      return await result
    } finally {
      tasks.delete(id)
      changed(id)
      forgetGone(id)
      if (session.lookAgain) lookSoon(id)
    }
  }

  const runUnasked: Registry['runUnasked'] = async (session, judged, work) => {
    // Begun by a look, which is over first.
    await looks.get(session.id)
    if (stopped) return
    if (!tasks.has(session.id) && session.anchor === judged) return begin(session, work)
    session.lookAgain = true
    if (!tasks.has(session.id)) lookSoon(session.id)
  }

  const lookOnce = async (id: SessionId, circumstances?: Circumstances): Promise<void> => {
    const before = changes.get(id)
    const session = looking.session(id)
    if (session !== undefined) session.lookAgain = false
    const found = await looking.list(id)
    if (found === null || stopped) return
    if (tasks.has(id) || changes.get(id) !== before) return again(id)
    await looking.judge(id, found, circumstances)
  }

  const again = (id: SessionId): void => {
    const session = looking.session(id)
    if (session === undefined) return
    session.lookAgain = true
    session.heard += 1
  }

  const look = async (id: SessionId, circumstances?: Circumstances): Promise<void> => {
    if (stopped) return
    if (tasks.has(id) || looks.has(id)) return again(id)
    const once = lookOnce(id, circumstances)
    looks.set(
      id,
      once.catch(() => {}),
    )
    try {
      await once
    } finally {
      looks.delete(id)
      if (!tasks.has(id)) forgetGone(id)
    }
    if (looking.session(id)?.lookAgain === true && !tasks.has(id)) lookSoon(id)
  }

  const lookSoon = (id: SessionId): void => {
    if (stopped) return
    look(id).catch((error: unknown) => {
      looking.failed(error)
      lookLater(id)
    })
  }

  const lookLater = (id: SessionId): void => {
    if (stopped || later.has(id)) return
    const soon = (): void => {
      later.delete(id)
      lookSoon(id)
    }
    later.set(id, setTimeout(soon, LOOK_AGAIN_MS))
  }

  return {
    run,
    runUnasked,
    lookLater,
    look,
    lookSoon,
    stop: () => {
      stopped = true
      for (const timer of later.values()) clearTimeout(timer)
    },
    end: async () => {
      ending = true
      while (tasks.size > 0 || looks.size > 0) {
        const busy = [...tasks.values()]
        for (const { controller } of busy) controller.abort()
        await Promise.all([...busy.map(({ done }) => done), ...looks.values()])
      }
    },
  }
}
