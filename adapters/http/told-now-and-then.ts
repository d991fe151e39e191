/** What happens very often is told at most every ten seconds, with how often it was. */
const TOLD_EVERY_MS = 10_000

/** `tell` hears how often it was since it last did; the answer is called each time. */
export const toldNowAndThen = (tell: (times: number) => void): (() => void) => {
  let times = 0
  let toldAt = Number.NEGATIVE_INFINITY
  return () => {
    times += 1
    if (performance.now() - toldAt < TOLD_EVERY_MS) return
    toldAt = performance.now()
    tell(times)
    times = 0
  }
}
