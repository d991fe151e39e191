/**
 * Follows one kind of objects: a list, then each change from there, for ever. The server marks its place in the
 * stream now and then (bookmarks), so that a cut connection goes on where it was, however little of what passes
 * is ours. A place that has become too old is answered with 410, and everything is listed anew.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { KubernetesObject } from '@kubernetes/client-node'
import { type BackoffLimits, fullJitter } from '../runtime/backoff.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { type Api, ApiError, isExpired, isForbidden, isPassing } from './api.ts'
import { type Kind, pathOf } from './kinds.ts'

export type Watched = {
  readonly kind: Kind
  /** Such as `labelSelector=…`, encoded. */
  readonly selector: string
  /** How soon one that was cut is opened anew. */
  readonly backoff?: BackoffLimits
  readonly changed: (object: KubernetesObject) => void
  readonly removed: (object: KubernetesObject) => void
  /** Said after a list: what is older than `place` and not among these uids is gone. */
  readonly complete: (there: ReadonlySet<string>, place: string) => void
}

export type WatchHealth = {
  readonly well: (kind: Kind) => void
  readonly unwell: (kind: Kind, why: string, error?: unknown) => void
}

export type WatchTimes = {
  /** A connection that was cut without a word is noticed by its silence: bookmarks come about once a minute. */
  readonly silenceMs: number
  /** A watch that was open for so long is well, though there was nothing to say. */
  readonly steadyMs: number
}

export const watchTimes: WatchTimes = { silenceMs: 150_000, steadyMs: 1_000 }

export type Watching = {
  /** Resolves when everything was listed once; rejects when that is not allowed. */
  readonly synced: Promise<void>
  readonly stop: () => Promise<void>
}

type List = {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: KubernetesObject[] | null
}
type Change = {
  readonly type: string
  readonly object: KubernetesObject & { readonly code?: number; readonly message?: string }
}

const PAGE = 500
/** How soon one that was cut is opened anew, where nothing else is said. */
const BACKOFF = { baseMs: 200, capMs: 5_000 }
/** The server ends a watch after so long; ours are spread, so that not all are opened anew at once. */
const WATCH_SECONDS = 300

export const watchKind = (
  about: { readonly api: Api; readonly namespace: string; readonly log: Log; readonly times: WatchTimes },
  watched: Watched,
  health: WatchHealth,
): Watching => {
  const { api, log, times } = about
  const over = new AbortController()
  const path = pathOf(watched.kind, about.namespace)
  const { plural } = watched.kind
  const { backoff = BACKOFF } = watched
  let place: string | null = null
  let synced = (): void => {}
  let refused = (_error: unknown): void => {}
  const whenSynced = new Promise<void>((resolve, reject) => {
    synced = resolve
    refused = reject
  })

  /** One object that nobody understands must not keep all others from being seen. */
  const handOver = (to: (object: KubernetesObject) => void, object: KubernetesObject): void => {
    try {
      to(object)
    } catch (error) {
      log.error({ kind: plural, name: object.metadata?.name, err: error }, 'an object was not understood')
    }
  }

  const list = async (): Promise<string> => {
    const items: KubernetesObject[] = []
    let next: string | undefined
    let listedAt = ''
    do {
      const page: List = await api.call({
        method: 'GET',
        path: `${path}?${watched.selector}&limit=${PAGE}${next ? `&continue=${encodeURIComponent(next)}` : ''}`,
      })
      items.push(...(page.items ?? []))
      next = page.metadata.continue
      listedAt = page.metadata.resourceVersion
    } while (next && !over.signal.aborted)
    for (const object of items) handOver(watched.changed, object)
    watched.complete(new Set(items.map(({ metadata }) => metadata?.uid ?? '')), listedAt)
    health.well(watched.kind)
    synced()
    return listedAt
  }

  const take = (text: string): void => {
    const { type, object } = read(text)
    if (type === 'ERROR') throw new ApiError(object.message ?? 'the watch was ended', object.code ?? 500, '')
    if (type === 'ADDED' || type === 'MODIFIED') handOver(watched.changed, object)
    else if (type === 'DELETED') handOver(watched.removed, object)
    place = object.metadata?.resourceVersion || place
  }

  const follow = async (from: string, well: () => void): Promise<void> => {
    const silence = new AbortController()
    const listen = () => setTimeout(() => silence.abort(), times.silenceMs)
    let silent = listen()
    let steady: NodeJS.Timeout | undefined
    const seconds = WATCH_SECONDS + Math.floor(Math.random() * WATCH_SECONDS)
    const query = `${watched.selector}&watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}`
    try {
      await api.lines(`${path}?${query}&resourceVersion=${from}`, AbortSignal.any([over.signal, silence.signal]), {
        opened: () => {
          steady = setTimeout(well, times.steadyMs)
        },
        line: (text) => {
          clearTimeout(silent)
          silent = listen()
          take(text)
          well()
        },
      })
    } catch (error) {
      if (!silence.signal.aborted) throw error
      throw new ApiError(`nothing was heard of ${plural} for ${times.silenceMs} ms`, 0, '')
    } finally {
      clearTimeout(silent)
      clearTimeout(steady)
    }
  }

  /** How long until it is tried again. */
  const troubled = (error: unknown, failures: number): number => {
    // Of the first list only: a right that is taken away later is as any other trouble.
    if (isForbidden(error)) refused(error)
    if (isPlaceLost(error)) place = null
    if (isExpired(error))
      log.info({ kind: plural }, 'the place in the stream of changes is too old: everything is listed anew')
    else {
      health.unwell(watched.kind, messageOf(error), error)
      log.warn({ kind: plural, failures, error: messageOf(error) }, 'a watch was cut and is opened anew')
    }
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0
    return Math.max(asked, fullJitter(failures, Math.random(), backoff))
  }

  const run = async (): Promise<void> => {
    let failures = 0
    const well = (): void => {
      failures = 0
      health.well(watched.kind)
    }
    while (!over.signal.aborted) {
      // One that ends at once, again and again, is no better than one that is refused: only `well` forgives it.
      failures += 1
      let pauseMs = 0
      try {
        place ??= await list()
        await follow(place, well)
        if (failures > 1) pauseMs = fullJitter(failures, Math.random(), backoff)
      } catch (error) {
        if (over.signal.aborted) return
        pauseMs = troubled(error, Math.max(1, failures))
      }
      await wait(pauseMs, undefined, { signal: over.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    synced: whenSynced,
    stop: async () => {
      over.abort()
      await running
    },
  }
}

const read = (text: string): Change => {
  try {
    const change = JSON.parse(text) as Change
    const version = change.object.metadata?.resourceVersion
    // What is no version would be asked for in vain for ever.
    if (typeof change.type === 'string' && (version === undefined || /^\d*$/.test(version))) return change
  } catch {
    // As below.
  }
  throw new ApiError(`the API server sent what is no change: ${JSON.stringify(text.slice(0, 100))}`, 0, '')
}

/** Too old, or not one that the server understands. */
const isPlaceLost = (error: unknown): boolean =>
  error instanceof ApiError && (isExpired(error) || (error.status >= 400 && !isPassing(error) && !isForbidden(error)))
