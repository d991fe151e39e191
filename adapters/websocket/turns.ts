/**
 * What ten thousand agents make necessary at once, done a little in each turn of the event loop: in between, those who
 * use the API are answered. Libuv hands over up to 1,024 events at a time, and what each of them sets off adds up.
 */
export type Turns = (action: () => void) => void

/** Of each turn. */
const AT_MOST_MS = 2

/** What is asked for first is done first. */
export const createTurns = (): Turns => {
  const waiting: (() => void)[] = []
  let isScheduled = false

  const schedule = (): void => {
    if (isScheduled || waiting.length === 0) return
    isScheduled = true
    setImmediate(doSome)
  }

  const doSome = (): void => {
    isScheduled = false
    const until = performance.now() + AT_MOST_MS
    try {
      do waiting.shift()?.()
      while (waiting.length > 0 && performance.now() < until)
    } finally {
      schedule()
    }
  }

  return (action) => {
    waiting.push(action)
    schedule()
  }
}
