/**
 * The inbox of the core as the hub uses it: says in the log when it begins to fail and when it works again,
 * and counts what is on its way (an orderly stop waits for it) and what was accepted.
 */
import type { AgentInbox } from '../../domain/ports/delivery.ts'
import type { DatabaseState } from './database-state.ts'

export type CountedInbox = AgentInbox & {
  readonly figures: { readonly onTheWay: number; readonly accepted: number }
}

export const countedInbox = (inbox: AgentInbox, database: DatabaseState): CountedInbox => {
  const figures = { onTheWay: 0, accepted: 0 }
  // async: a port that throws is treated like one that rejects.
  const counted = async <A>(what: string, hand: () => Promise<A>): Promise<A> => {
    figures.onTheWay++
    try {
      const answer = await hand()
      figures.accepted++
      database.works(what)
      return answer
    } catch (error) {
      database.failed(what, error)
      throw error
    } finally {
      figures.onTheWay--
    }
  }
  return {
    result: (peer, result) => counted('writing results', () => inbox.result(peer, result)),
    status: (peer, sessionId, generation, report) =>
      counted('writing statuses', () => inbox.status(peer, sessionId, generation, report)),
    inventory: (peer, items) => counted('writing inventories', () => inbox.inventory(peer, items)),
    heartbeat: (beat) => counted('writing heartbeats', () => inbox.heartbeat(beat)),
    activity: (peer, sessionId, at) => counted('writing activity', () => inbox.activity(peer, sessionId, at)),
    figures,
  }
}
