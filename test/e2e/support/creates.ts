/** Clients that create sessions at a steady pace whatever happens, and remember every answer. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import { eventually } from './eventually.ts'
import type { Rest } from './rest.ts'

export type Creates = {
  /** Ids that were promised, in order. */
  readonly promised: readonly string[]
  /** 503 with Retry-After: "it did not happen, come again". */
  readonly unavailable: () => number
  /** Anything else that is no success, and calls without an answer: in words, each once, with how often. */
  readonly failed: () => readonly string[]
  /** Waits until so many more were promised than are now. Milliseconds from the call to the first of them. */
  readonly more: (count: number, within?: number) => Promise<number>
  /** The longest time between two promises, in milliseconds. */
  readonly longestGap: () => number
  /** Waits until all calls that are on their way now have ended: what they were promised is in `promised` then. */
  readonly answered: () => Promise<void>
  readonly end: () => Promise<void>
}

export type Pace = { readonly clients?: number; readonly pauseMs?: number }

export const creates = (api: Rest, request: object, { clients = 4, pauseMs = 40 }: Pace = {}): Creates => {
  const promised: string[] = []
  const promisedAt: number[] = []
  const failures = new Map<string, number>()
  let unavailable = 0
  let over = false

  const failed = (how: string): void => {
    failures.set(how, (failures.get(how) ?? 0) + 1)
  }
  const create = async (): Promise<void> => {
    try {
      const { status, headers, body } = await api.post('/sessions', request)
      if (status >= 200 && status < 300) {
        promised.push(body.id)
        promisedAt.push(performance.now())
      } else if (status === 503 && Number(headers.get('retry-after')) > 0) unavailable += 1
      else failed(`${status} ${JSON.stringify(body)}`)
    } catch (error) {
      const { message, cause } = error as Error
      failed(`no answer: ${message} ${(cause as Error | undefined)?.message ?? ''}`)
    }
  }
  const onTheirWay = new Set<Promise<void>>()
  const client = async (): Promise<void> => {
    while (!over) {
      const call = create()
      onTheirWay.add(call)
      await call
      onTheirWay.delete(call)
      await wait(pauseMs)
    }
  }
  const running = Promise.all(Array.from({ length: clients }, client))
  const shown = (): string => `${unavailable} unavailable; ${[...failures.keys()].join('; ')}`
  return {
    promised,
    unavailable: () => unavailable,
    failed: () => [...failures].map(([how, times]) => `${times} × ${how}`),
    more: async (count, within = 30_000) => {
      const began = performance.now()
      const before = promised.length
      await eventually(() => expect(promised.length, shown()).to.be.at.least(before + count), { within })
      return Math.max(0, (promisedAt[before] ?? began) - began)
    },
    longestGap: () => Math.max(0, ...promisedAt.slice(1).map((at, index) => at - (promisedAt[index] ?? at))),
    answered: async () => {
      await Promise.all(onTheirWay)
    },
    end: async () => {
      over = true
      await running
    },
  }
}
