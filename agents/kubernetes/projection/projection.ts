/**
 * Sessions and templates shown as objects of the cluster, for people with kubectl (docs/decisions/0085). They follow
 * what this agent holds; nothing is ever read from them, and no trouble with them is a session's trouble.
 */
import type { KubernetesObject } from '@kubernetes/client-node'
import type { SessionId } from '../../../domain/ids.ts'
import type { Log } from '../../runtime/log.ts'
import type { PlatformListener } from '../../runtime/platform.ts'
import { createApi } from '../api.ts'
import { type Kind, kinds } from '../kinds.ts'
import { AGENT_LABEL, labelsOf, nameOf, sessionOf } from '../names.ts'
import type { Life } from '../session-life.ts'
import type { Transport } from '../transport.ts'
import { type Watched, type Watching, watchKind, watchTimes } from '../watch.ts'
import { createKeeper, type Name } from './keeper.ts'
import { type Content, viewOf } from './object.ts'
import { requestsIn } from './requests.ts'
import { type Asked, sessionObjectOf } from './session-object.ts'
import { createTemplateUses, templateLabels, templateObjectOf } from './template-object.ts'
import { createTrouble } from './trouble.ts'

export type Projection = {
  /** Something of this session is another than before. Cheap: it is called at every change in the cluster. */
  readonly changed: (sessionId: SessionId) => void
  /** Requests so far, watches not counted. */
  readonly calls: () => number
  readonly close: () => Promise<void>
}

export type ProjectionOptions = {
  readonly transport: Transport
  readonly namespace: string
  readonly agentId: string
  readonly lives: ReadonlyMap<SessionId, Life>
  readonly listener: Pick<PlatformListener, 'report'>
  readonly log: Log
}

/** Few at a time and one try each: what fails is asked again when its turn comes, behind the sessions' own requests. */
const LIMITS = { parallel: 4, timeoutMs: 10_000, attempts: 1 }
const WATCH_BACKOFF = { baseMs: 500, capMs: 30_000 }

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export const openProjection = (options: ProjectionOptions): Projection => {
  const { transport, namespace, agentId, lives, listener, log } = options
  const api = createApi(transport, LIMITS)
  const trouble = createTrouble(log)
  const uses = createTemplateUses(agentId)
  /** Before all of a kind was seen nothing is written of it. */
  const listed = new Set<Kind>()
  const templateNames = new Set<string>()

  const wanted = ({ kind, name }: Name, before: Content | null): Asked => {
    if (kind === kinds.template) return templateObjectOf(name, uses.of(name), agentId)
    const sessionId = sessionOf(name)
    return sessionObjectOf(sessionId === null ? undefined : lives.get(sessionId), agentId, before, () => new Date())
  }

  const keeper = createKeeper({
    requests: requestsIn(api, namespace),
    trouble,
    log,
    wanted,
    putBack: ({ kind, name }, _edit, message) => {
      const life = kind === kinds.session ? lives.get(sessionOf(name) as SessionId) : undefined
      const record = life?.anchor?.record
      if (life === undefined || !record?.settled) return
      const note = { type: 'projection_edited', message } as const
      listener.report({ sessionId: life.sessionId, generation: record.generation, ...life.observed, note })
    },
  })

  const usedBy = (sessionId: SessionId): readonly string[] => {
    try {
      return uses.changed(sessionId, lives.get(sessionId))
    } catch (error) {
      // A record that somebody edited may be anything.
      trouble.happened('records', error)
      return []
    }
  }

  const changed = (sessionId: SessionId): void => {
    for (const name of usedBy(sessionId)) {
      templateNames.add(name)
      if (listed.has(kinds.template)) keeper.changed({ kind: kinds.template, name })
    }
    if (listed.has(kinds.session)) keeper.changed({ kind: kinds.session, name: nameOf(sessionId) })
  }

  const watched = (kind: Kind, labels: readonly string[], everything: () => Iterable<string>): Watched => {
    const nameIn = ({ metadata }: KubernetesObject): Name => ({ kind, name: metadata?.name ?? '' })
    const put = (object: KubernetesObject): void => keeper.put(nameIn(object), viewOf(object, labels))
    return {
      kind,
      selector: `labelSelector=${encodeURIComponent(`${AGENT_LABEL}=${agentId}`)}`,
      backoff: WATCH_BACKOFF,
      changed: put,
      complete: (there, place) => {
        // What was written since the list was read is not in it.
        for (const { name, view } of keeper.seen())
          if (name.kind === kind && !there.has(view.uid) && BigInt(view.resourceVersion || 0) <= BigInt(place))
            keeper.drop(name, view.uid)
        listed.add(kind)
        for (const name of everything()) keeper.changed({ kind, name })
      },
      removed: (object) => keeper.drop(nameIn(object), object.metadata?.uid ?? ''),
    }
  }

  const health = {
    well: ({ plural }: Kind) => trouble.over(plural),
    unwell: ({ plural }: Kind, _why: string, error: unknown) => void trouble.happened(plural, error),
  }
  const sessionLabels = Object.keys(labelsOf('' as SessionId, agentId))
  const watchings: readonly Watching[] = [
    watched(kinds.session, sessionLabels, () => [...lives.keys()].map(nameOf)),
    watched(kinds.template, Object.keys(templateLabels(agentId)), () => templateNames),
  ].map((one) => watchKind({ api, namespace, log: quiet, times: watchTimes }, one, health))
  // What they are refused is in the log already, and they go on asking.
  for (const { synced } of watchings) synced.catch(() => {})
  for (const sessionId of lives.keys()) changed(sessionId)

  return {
    changed,
    calls: api.calls,
    close: async () => {
      await Promise.all([keeper.close(), ...watchings.map(({ stop }) => stop())])
    },
  }
}
