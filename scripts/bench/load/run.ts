/** Runs a load plan: open-loop or closed-loop, in this process. */
import { randomUUID } from 'node:crypto'
import { type Connection, openConnection } from './connection.ts'
import type { LoadPlan, LoadResult } from './plan.ts'

/** How long after the measured time the last answers are waited for; what is open then has failed. */
const LAST_ANSWERS_MS = 10_000

type Tally = {
  /** `from`: when the request was due (open loop) or sent (closed loop). */
  readonly count: (from: number, how: number | string) => void
  readonly result: (beganAt: number) => LoadResult
}

const createTally = (plan: LoadPlan): Tally => {
  const latencies: number[] = []
  const failures: Record<string, number> = {}
  let succeeded = 0
  return {
    count: (from, how) => {
      latencies.push(performance.now() - from)
      if (how === plan.expect) succeeded += 1
      else failures[how] = (failures[how] ?? 0) + 1
    },
    result: (beganAt) => ({
      latenciesMs: Float64Array.from(latencies),
      succeeded,
      failures,
      seconds: plan.seconds,
      beganAtMs: performance.timeOrigin + beganAt,
    }),
  }
}

/** As long as a UUID; written over in the request for each that is sent. */
const NO_KEY = '0'.repeat(36)

const requestsOf = ({ url, token, tokens = [token], method, paths, body, keyed = false }: LoadPlan): Buffer[] => {
  const { host } = new URL(url)
  const key = keyed ? `idempotency-key: ${NO_KEY}\r\n` : ''
  const about = body === null ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  return paths.flatMap((path) =>
    tokens.map((each) =>
      Buffer.from(
        `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${each}\r\n${key}${about}\r\n${body ?? ''}`,
      ),
    ),
  )
}

const withKey = (request: Buffer): Buffer => {
  const keyed = Buffer.from(request)
  keyed.write(randomUUID(), request.indexOf(NO_KEY), 'latin1')
  return keyed
}

export const runLoad = (plan: LoadPlan): Promise<LoadResult> => {
  const { hostname, port } = new URL(plan.url)
  const requests = requestsOf(plan)
  const any = (): Buffer => requests[Math.floor(Math.random() * requests.length)] as Buffer
  const next = plan.keyed === true ? () => withKey(any()) : any
  const connections = Array.from({ length: plan.connections }, () => openConnection(hostname, Number(port)))
  const tally = createTally(plan)
  const run = plan.pace.kind === 'open' ? openLoop(plan.pace.perSecond) : closedLoop
  return run(plan, connections, next, tally).finally(() => {
    for (const connection of connections) connection.close()
  })
}

type Loop = (
  plan: LoadPlan,
  connections: readonly Connection[],
  next: () => Buffer,
  tally: Tally,
) => Promise<LoadResult>

/** Counts what was answered within the measured time. */
const closedLoop: Loop = (plan, connections, next, tally) =>
  new Promise((resolve) => {
    const beganAt = performance.now() + plan.warmUpSeconds * 1_000
    const endsAt = beganAt + plan.seconds * 1_000
    const again = (connection: Connection): void => {
      const sentAt = performance.now()
      connection.ask(next(), (how) => {
        const now = performance.now()
        if (now >= beganAt && now < endsAt) tally.count(sentAt, how)
        if (now < endsAt) again(connection)
      })
    }
    for (const connection of connections) again(connection)
    setTimeout(() => resolve(tally.result(beganAt)), endsAt - performance.now())
  })

/**
 * Counts every request that was due within the measured time. A request whose time has come while all
 * connections are busy waits for one, and its waiting counts: that is what its user would see.
 */
const openLoop =
  (perSecond: number): Loop =>
  (plan, connections, next, tally) =>
    new Promise((resolve) => {
      const interval = 1_000 / perSecond
      const firstAt = performance.now() + interval
      const uncounted = Math.round(plan.warmUpSeconds * perSecond)
      const total = uncounted + Math.round(plan.seconds * perSecond)
      const beganAt = firstAt + uncounted * interval
      const idle = [...connections]
      const due: number[] = []
      const open = new Set<number>()
      let planned = 0
      let answered = 0
      let lastAnswers: NodeJS.Timeout | undefined

      const count = (request: number, how: number | string): void => {
        if (request >= uncounted) tally.count(firstAt + request * interval, how)
      }
      const finish = (): void => {
        clearTimeout(lastAnswers)
        for (const request of [...open, ...due]) count(request, 'no answer')
        resolve(tally.result(beganAt))
      }
      const send = (): void => {
        while (due.length > 0 && idle.length > 0) {
          const request = due.shift() as number
          const connection = idle.pop() as Connection
          open.add(request)
          connection.ask(next(), (how) => {
            open.delete(request)
            count(request, how)
            idle.push(connection)
            answered += 1
            if (answered === total) finish()
            else send()
          })
        }
      }
      const keepToPlan = (): void => {
        const now = performance.now()
        while (planned < total && firstAt + planned * interval <= now) {
          due.push(planned)
          planned += 1
        }
        send()
        if (planned < total) setTimeout(keepToPlan, Math.max(0, firstAt + planned * interval - performance.now()))
        else lastAnswers = setTimeout(finish, LAST_ANSWERS_MS)
      }
      keepToPlan()
    })
