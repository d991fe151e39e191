/**
 * Clients that create, start, stop, hibernate, wake, restart, rename and delete sessions over REST, through any
 * replica, and remember what they were promised. Which call follows which is fixed by the seed; what each is
 * answered is not. A call without an answer is repeated where a second one cannot do a second thing.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { callOnce, type Outcome, type Request } from './http-call.ts'
import type { LedgerState } from './ledger.ts'
import { newPromise, type Promised, promise, type Said } from './promises.ts'
import { type Random, randomOf } from './random.ts'
import type { Replica } from './servers.ts'

export type ClientSettings = {
  readonly seed: number
  readonly clients: number
  /** The key of each org; sessions of one are foreign to the others. */
  readonly orgs: readonly { readonly id: string; readonly key: string }[]
  readonly replicas: readonly Replica[]
  readonly agentIds: readonly string[]
  /** Between two calls of one client, at most. */
  readonly paceMs: number
}

export type Figures = {
  /** Intents that were answered with 2xx and raised the generation, creates among them. */
  commands: number
  refused: number
  unknown: number
  unavailable: number
  /** 5xx other than 503: nothing that may be answered. */
  faults: number
  /** Another org's session that was read or changed. */
  foreign: number
}

export type Clients = {
  readonly figures: Figures
  readonly promises: ReadonlyMap<string, Promised>
  /** Names of sessions whose create was answered with 503. */
  readonly unavailableCreates: ReadonlySet<string>
  /** Sessions that no call changes any more: what goes wrong with them stays wrong. */
  readonly leftAlone: ReadonlySet<string>
  readonly inFlight: () => number
  /** Resolves when nothing is under way any more. */
  readonly pause: () => Promise<void>
  readonly resume: () => void
  /** After a restore: what the rows say now is what is promised from now on. What is there again is deleted again. */
  readonly rebase: () => Promise<void>
  readonly stop: () => Promise<void>
}

const CALL_WITHIN_MS = 5_000
const TRIES = 6
const REBASED_AT_A_TIME = 8
/** Of the sessions that a restore brings back after they were deleted. */
const LEFT_BROUGHT_BACK = 0.15
const SESSIONS_A_CLIENT = 10
/** Sessions that a client makes and then leaves alone: what goes wrong with them is not put right by the next call. */
const LEFT_ALONE = 10

type Intent = 'start' | 'stop' | 'hibernate' | 'wake' | 'restart' | 'delete'

const asked: { readonly [I in Intent]: LedgerState } = {
  start: 'running',
  wake: 'running',
  restart: 'running',
  stop: 'stopped',
  hibernate: 'hibernated',
  delete: 'deleted',
}

const INTENTS: readonly Intent[] = ['start', 'stop', 'stop', 'hibernate', 'wake', 'restart', 'start', 'delete']

export const startClients = (settings: ClientSettings): Clients => {
  const figures: Figures = { commands: 0, refused: 0, unknown: 0, unavailable: 0, faults: 0, foreign: 0 }
  const promises = new Map<string, Promised>()
  const unavailableCreates = new Set<string>()
  const leftAlone = new Set<string>()
  const keys = new Map(settings.orgs.map(({ id, key }) => [id, key]))
  let paused: PromiseWithResolvers<void> | null = null
  let stopped = false
  let inFlight = 0
  let busy = 0

  const call = async (random: Random, request: Omit<Request, 'base' | 'withinMs'>): Promise<Outcome> => {
    const up = settings.replicas.filter((replica) => replica.isUp())
    const replica = random.pick(up.length > 0 ? up : settings.replicas)
    inFlight += 1
    const outcome = await callOnce({ ...request, base: replica?.proxy.url ?? '', withinMs: CALL_WITHIN_MS })
    inFlight -= 1
    if (outcome.kind === 'unknown') figures.unknown += 1
    else if (outcome.status === 503) figures.unavailable += 1
    else if (outcome.status >= 500) figures.faults += 1
    else if (outcome.status >= 400) figures.refused += 1
    return outcome
  }

  const succeeded = (outcome: Outcome): outcome is Extract<Outcome, { kind: 'answered' }> =>
    outcome.kind === 'answered' && outcome.status >= 200 && outcome.status < 300
  const settled = (outcome: Outcome): boolean => outcome.kind === 'answered' && outcome.status < 500
  const over = (): boolean => stopped || paused !== null

  const create = async (random: Random, org: string, name: string, choice: number): Promise<Promised | null> => {
    const pinned = choice < 0.3 ? settings.agentIds[Math.floor(choice * 1_000) % settings.agentIds.length] : undefined
    const body = {
      template: 'faults',
      name,
      persistentHome: choice * 100 - Math.floor(choice * 100) < 0.5,
      ...(pinned === undefined ? {} : { agentId: pinned }),
    }
    const outcome = await call(random, { key: keys.get(org) ?? '', method: 'POST', path: '/sessions', body })
    if (outcome.kind === 'answered' && outcome.status === 503) unavailableCreates.add(name)
    if (!succeeded(outcome)) return null
    figures.commands += 1
    const promised = newPromise(outcome.body, org)
    promises.set(promised.id, promised)
    return promised
  }

  const repeats = (intent: Intent): boolean => intent !== 'restart'

  const intend = async (random: Random, session: Promised, intent: Intent): Promise<void> => {
    const path = intent === 'delete' ? `/sessions/${session.id}` : `/sessions/${session.id}/${intent}`
    const method = intent === 'delete' ? 'DELETE' : 'POST'
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const outcome = await call(random, { key: keys.get(session.org) ?? '', method, path })
      if (succeeded(outcome)) return accept(session, outcome.body)
      if (settled(outcome)) return goneAlready(session, intent, outcome)
      session.loose.push(asked[intent])
      if (over() || (outcome.kind === 'unknown' && !repeats(intent))) return
      await wait(100 * attempt)
    }
  }

  const accept = (session: Promised, said: Said): void => {
    if (promise(session, said)) figures.commands += 1
  }

  /** A delete whose first answer was lost may find nothing the second time: it was done. */
  const goneAlready = (session: Promised, intent: Intent, outcome: Outcome): void => {
    if (outcome.kind === 'answered' && outcome.status === 404 && intent === 'delete') session.desired = 'deleted'
  }

  const patch = async (random: Random, session: Promised, label: string): Promise<void> => {
    const path = `/sessions/${session.id}`
    const outcome = await call(random, {
      key: keys.get(session.org) ?? '',
      method: 'PATCH',
      path,
      body: { labels: { n: label } },
    })
    if (succeeded(outcome)) session.patch = label
    else if (!settled(outcome)) session.loosePatches.push(label)
  }

  const trespass = async (random: Random, session: Promised, intent: Intent): Promise<void> => {
    const stranger = settings.orgs.find(({ id }) => id !== session.org)
    if (stranger === undefined) return
    const path = intent === 'delete' ? `/sessions/${session.id}` : `/sessions/${session.id}/${intent}`
    const outcome = await call(random, { key: stranger.key, method: intent === 'delete' ? 'DELETE' : 'POST', path })
    const read = await call(random, { key: stranger.key, method: 'GET', path: `/sessions/${session.id}` })
    for (const one of [outcome, read]) if (one.kind === 'answered' && one.status < 400) figures.foreign += 1
  }

  const client = async (number: number): Promise<void> => {
    /** The schedule, and the way of each call through replicas, are drawn apart: a repeated call shifts no schedule. */
    const schedule = randomOf(settings.seed, `client ${number}`)
    const way = randomOf(settings.seed, `way ${number}`)
    const org = settings.orgs[number % settings.orgs.length]?.id ?? ''
    const live: Promised[] = []
    let alone = 0
    for (let step = 0; !stopped; step += 1) {
      const [what, which, also, choice, pace] = [0, 0, 0, 0, 0].map(() => schedule.next()) as [
        number,
        number,
        number,
        number,
        number,
      ]
      if (paused !== null) await paused.promise
      if (stopped) return
      busy += 1
      try {
        for (let at = live.length - 1; at >= 0; at -= 1)
          if (live[at]?.desired === 'deleted' || live[at]?.rolledBack) live.splice(at, 1)
        const session = live[Math.floor(which * live.length)]
        if (session === undefined || (live.length < SESSIONS_A_CLIENT && what < 0.3)) {
          const made = await create(way, org, `c${number}-${step}`, choice)
          if (also < 0.4 && alone < LEFT_ALONE) {
            alone += 1
            if (made !== null) leftAlone.add(made.id)
          } else if (made !== null) live.push(made)
        } else {
          const intent = INTENTS[Math.floor(choice * INTENTS.length)] ?? 'stop'
          const both = [intend(way, session, intent)]
          if (also < 0.35) both.push(patch(way, session, `${number}-${step}`))
          if (also > 0.97) both.push(trespass(way, session, intent))
          await Promise.all(both)
        }
      } finally {
        busy -= 1
      }
      await wait(Math.ceil(pace * settings.paceMs))
    }
  }

  const reread = async (way: Random, session: Promised): Promise<void> => {
    for (let attempt = 1; attempt <= 60; attempt += 1) {
      const outcome = await call(way, {
        key: keys.get(session.org) ?? '',
        method: 'GET',
        path: `/sessions/${session.id}`,
      })
      if (succeeded(outcome)) {
        const { generation, desiredState, labels } = outcome.body
        Object.assign(session, {
          accepted: generation,
          commanded: [],
          desired: desiredState,
          loose: [],
          loosePatches: [],
        })
        session.patch = labels?.n ?? null
        return
      }
      if (settled(outcome)) {
        session.rolledBack = true
        return
      }
      await wait(500)
    }
    throw new Error(`session ${session.id} could not be read after the restore`)
  }

  /** Who had deleted it does not know it any more: it would be there, and they would grow in number with each restore. Some are left, as they are. */
  const rebaseOne = async (session: Promised): Promise<void> => {
    const way = randomOf(settings.seed, `rebase ${session.id}`)
    const isDeleted = (): boolean => session.desired === 'deleted'
    const wasDeleted = isDeleted()
    await reread(way, session)
    if (!wasDeleted || session.rolledBack || way.chance(LEFT_BROUGHT_BACK)) return
    for (let round = 0; round < TRIES && !isDeleted(); round += 1) {
      await intend(way, session, 'delete')
      if (!isDeleted()) await wait(500)
    }
  }

  const running = Array.from({ length: settings.clients }, (_, number) => client(number))

  const idle = async (): Promise<void> => {
    while (busy > 0) await wait(20)
  }

  return {
    figures,
    promises,
    unavailableCreates,
    leftAlone,
    inFlight: () => inFlight,
    pause: async () => {
      paused ??= Promise.withResolvers<void>()
      await idle()
    },
    resume: () => {
      paused?.resolve()
      paused = null
    },
    rebase: async () => {
      const todo = [...promises.values()].filter(({ rolledBack }) => !rolledBack)
      const worker = async (): Promise<void> => {
        for (let session = todo.pop(); session !== undefined; session = todo.pop()) await rebaseOne(session)
      }
      await Promise.all(Array.from({ length: REBASED_AT_A_TIME }, worker))
    },
    stop: async () => {
      stopped = true
      paused?.resolve()
      paused = null
      await Promise.all(running)
    },
  }
}
