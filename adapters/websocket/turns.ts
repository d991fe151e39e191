/**
 * What ten thousand agents make necessary at once, done a little in each turn of the event loop: in between, those who
 * use the API are answered. Libuv hands over up to 1,024 events at a time, and what each of them sets off adds up.
 */
export type Turns = (action: () => void) => void

/** Of each turn. */
const AT_MOST_MS = 2

/** What is asked for first is done first. `action` must not throw. */
export const createTurns = (): Turns => {
  let waiting: (() => void)[] = []
  let next = 0

  const doSome = (): void => {
    const until = performance.now() + AT_MOST_MS
    do waiting[next++]?.()
    while (next < waiting.length && performance.now() < until)
    if (next < waiting.length) setImmediate(doSome)
    else {
      waiting = []
      next = 0
    }
  }

  return (action) => {
    if (waiting.push(action) === 1) setImmediate(doSome)
  }
}
