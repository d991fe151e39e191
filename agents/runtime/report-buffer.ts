/**
 * Results and statuses on their way to the server, in the order in which they became facts. On a healthy
 * socket they pass straight through; without one, or on one that is too slow, they wait here. What waits is
 * bounded: of statuses only the newest a session and generation, of results one a command, and in the very
 * end the oldest go first, statuses before results. The inventory tells the same.
 */
import type { Frame } from '../protocol.ts'

export type Report = Frame<'result'> | Frame<'status'>

export type ReportBuffer = {
  readonly put: (report: Report) => void
  /** The oldest fact, taken out. */
  readonly take: () => Report | null
  readonly size: () => number
}

type Kept<F> = { readonly order: number; readonly frame: F }

/** Drops what was first put into a map, in constant time as long as the map is bounded. */
const dropFirst = (map: Map<string, unknown>): void => {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}

export const createReportBuffer = (limit = 10_000): ReportBuffer => {
  const results = new Map<string, Kept<Frame<'result'>>>()
  const statuses = new Map<string, Kept<Frame<'status'>>>()
  let order = 0

  /** Puts at the end even what replaces something: a newer status told before an older result would be undone by it. */
  const keep = <F>(map: Map<string, Kept<F>>, key: string, frame: F): void => {
    map.delete(key)
    map.set(key, { order: order++, frame })
  }

  const first = <F>(map: Map<string, Kept<F>>): Kept<F> | undefined => map.values().next().value

  return {
    put: (report) => {
      if (report.type === 'result') keep(results, report.commandId, report)
      else {
        const key = `${report.sessionId}:${report.generation}`
        // What is for the history is not made old by a newer status.
        const note = report.note ?? statuses.get(key)?.frame.note
        keep(statuses, key, note === undefined ? report : { ...report, note })
      }
      if (results.size + statuses.size > limit) dropFirst(statuses.size > 0 ? statuses : results)
    },
    take: () => {
      const result = first(results)
      const status = first(statuses)
      const oldest = result === undefined || (status !== undefined && status.order < result.order) ? status : result
      if (oldest === undefined) return null
      dropFirst(oldest === result ? results : statuses)
      return oldest.frame
    },
    size: () => results.size + statuses.size,
  }
}
