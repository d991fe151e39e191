/**
 * Who is next where several orgs share a few places: each org has some of them at most, and what waits is let in by turns of orgs,
 * not in the order in which it came. An org that sends a thousand requests at once makes its own wait, and others for
 * no more than one of its own that is inside. When somebody has waited for too long is for whoever waits to say.
 */

/** Whose a place is: an org, or the installation (`shareOf`). */
export type Share = string

export type TurnsSettings = {
  /** Places. */
  readonly most: number
  /** Places of one. */
  readonly mostOfOne: number
}

export type Turns = {
  /** Takes a place; false: there is none for this one now. */
  readonly enter: (whose: Share) => boolean
  /** `letIn` is called when it has a place. The answer gives up waiting; it does nothing for one that was let in. */
  readonly wait: (whose: Share, letIn: () => void) => () => void
  /** Gives a place back, to whoever is next. */
  readonly leave: (whose: Share) => void
  /** How many of one wait. */
  readonly waiting: (whose: Share) => number
}

export const createTurns = ({ most, mostOfOne }: TurnsSettings): Turns => {
  let inside = 0
  const insideBy = new Map<Share, number>()
  /** In the order of the turns; none of them is empty. */
  const queues = new Map<Share, Set<() => void>>()

  const enter: Turns['enter'] = (whose) => {
    // Nobody is overtaken: whoever waits does so because there is no place for them either.
    const own = insideBy.get(whose) ?? 0
    if (inside >= most || own >= mostOfOne) return false
    inside += 1
    insideBy.set(whose, own + 1)
    return true
  }

  /** One place was given back, so there is one for one of them at most. */
  const letNextIn = (): void => {
    for (const [whose, queue] of queues) {
      if (!enter(whose)) continue
      const [letIn] = queue
      // Never so: an empty queue is taken away.
      if (letIn === undefined) throw new Error('a queue was kept empty')
      queue.delete(letIn)
      // Behind all others.
      queues.delete(whose)
      if (queue.size > 0) queues.set(whose, queue)
      letIn()
      return
    }
  }

  return {
    enter,
    wait: (whose, letIn) => {
      const queue = queues.get(whose) ?? new Set()
      queues.set(whose, queue)
      queue.add(letIn)
      return () => {
        if (queue.delete(letIn) && queue.size === 0) queues.delete(whose)
      }
    },
    leave: (whose) => {
      inside -= 1
      const own = (insideBy.get(whose) ?? 1) - 1
      if (own > 0) insideBy.set(whose, own)
      else insideBy.delete(whose)
      letNextIn()
    },
    waiting: (whose) => queues.get(whose)?.size ?? 0,
  }
}
