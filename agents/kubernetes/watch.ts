/**
 * Follows one kind of objects: a list, then each change from there, for ever. The server marks its place in the
 * stream now and then (bookmarks), so that a cut connection goes on where it was, however little of what passes
 * is ours. A place that has become too old is answered with 410, and everything is listed anew.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { KubernetesObject } from '@kubernetes/client-node'
import { type BackoffLimits, fullJitter } from '../runtime/backoff.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { type Api, ApiError, isExpired, isForbidden } from './api.ts'
import { type Kind, pathOf } from './kinds.ts'

export type Watched = {
  readonly kind: Kind
  /** Such as `labelSelector=…`, encoded. */
  readonly selector: string
  /** How soon one that was cut is opened anew. */
  readonly backoff?: BackoffLimits
  /** Everything there is: what is not among it is gone. */
  readonly listed: (objects: readonly KubernetesObject[]) => void
  readonly changed: (object: KubernetesObject) => void
  readonly removed: (object: KubernetesObject) => void
}

export type WatchHealth = {
  readonly well: (kind: Kind) => void
  readonly unwell: (kind: Kind, why: string, error?: unknown) => void
}

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
const BACKOFF = { baseMs: 200, capMs: 5_000 }
/** The server ends a watch after so long; ours are spread, so that not all are opened anew at once. */
const WATCH_SECONDS = 300
/** A connection that was cut without a word is noticed by its silence: bookmarks come about once a minute. */
const SILENCE_MS = 150_000

export const watchKind = (api: Api, namespace: string, watched: Watched, health: WatchHealth, log: Log): Watching => {
  const over = new AbortController()
  const path = pathOf(watched.kind, namespace)
  const { plural } = watched.kind
  let place: string | null = null
  let synced = (): void => {}
  let refused = (_error: unknown): void => {}
  const whenSynced = new Promise<void>((resolve, reject) => {
    synced = resolve
    refused = reject
  })

  const list = async (): Promise<void> => {
    const items: KubernetesObject[] = []
    let next: string | undefined
    do {
      const page: List = await api.call({
        method: 'GET',
        path: `${path}?${watched.selector}&limit=${PAGE}${next ? `&continue=${encodeURIComponent(next)}` : ''}`,
      })
      items.push(...(page.items ?? []))
      next = page.metadata.continue
      place = page.metadata.resourceVersion
    } while (next)
    watched.listed(items)
    health.well(watched.kind)
    synced()
  }

  const take = (text: string): void => {
    const { type, object }: Change = JSON.parse(text)
    if (type === 'ERROR') throw new ApiError(object.message ?? 'the watch was ended', object.code ?? 500, '')
    place = object.metadata?.resourceVersion ?? place
    if (type === 'ADDED' || type === 'MODIFIED') watched.changed(object)
    else if (type === 'DELETED') watched.removed(object)
  }

  const follow = async (heard: () => void): Promise<void> => {
    const silence = new AbortController()
    let timer = setTimeout(() => silence.abort(), SILENCE_MS)
    const seconds = WATCH_SECONDS + Math.floor(Math.random() * WATCH_SECONDS)
    const query = `${watched.selector}&watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}`
    try {
      await api.lines(
        `${path}?${query}&resourceVersion=${place}`,
        AbortSignal.any([over.signal, silence.signal]),
        (text) => {
          clearTimeout(timer)
          timer = setTimeout(() => silence.abort(), SILENCE_MS)
          take(text)
          heard()
        },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  const run = async (): Promise<void> => {
    for (let failures = 0; !over.signal.aborted; ) {
      let openedAt = performance.now()
      try {
        if (place === null) await list()
        openedAt = performance.now()
        await follow(() => {
          failures = 0
          health.well(watched.kind)
        })
        // A watch that ends at once, again and again, is no better than one that is refused.
        failures = performance.now() - openedAt > 1_000 ? 0 : failures + 1
      } catch (error) {
        if (over.signal.aborted) return
        // Of the first list only: a right that is taken away later is as any other trouble.
        if (isForbidden(error)) refused(error)
        if (isExpired(error)) {
          log.info({ kind: plural }, 'the place in the stream of changes is too old: everything is listed anew')
          place = null
          continue
        }
        failures = performance.now() - openedAt > 30_000 ? 1 : failures + 1
        health.unwell(watched.kind, messageOf(error), error)
        log.warn({ kind: plural, failures, error: messageOf(error) }, 'a watch was cut and is opened anew')
      }
      if (failures > 0)
        await wait(fullJitter(failures, Math.random(), watched.backoff ?? BACKOFF), undefined, {
          signal: over.signal,
        }).catch(() => {})
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
