/** Lets so many through at a time, the others in the order in which they came. */
export type Gate<T> = {
  readonly enter: (entrant: T) => void
  /** One of those let through is done. */
  readonly leave: () => void
}

/** `admit` answers whether the entrant took its place; one that no longer wants it answers false. */
export const createGate = <T>(limit: number, admit: (entrant: T) => boolean): Gate<T> => {
  let waiting: T[] = []
  let head = 0
  let inside = 0

  const letIn = (): void => {
    while (inside < limit && head < waiting.length) {
      const entrant = waiting[head] as T
      head += 1
      inside += 1
      if (!admit(entrant)) inside -= 1
    }
    // Compacted now and then: shifting a long array at each step costs as much as the array is long.
    if (head > 1_024 || head === waiting.length) {
      waiting = waiting.slice(head)
      head = 0
    }
  }

  return {
    enter: (entrant) => {
      waiting.push(entrant)
      letIn()
    },
    leave: () => {
      inside -= 1
      letIn()
    },
  }
}
