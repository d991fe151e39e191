/** Times for people. */

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const

/** `42s`, `5m10s`, `3h5m`, `12d`: two units where the first is small, so that nothing is off by half. */
export const duration = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  for (const [index, [name, size]] of units.entries()) {
    if (seconds < size) continue
    const whole = Math.floor(seconds / size)
    const [nextName, nextSize] = units[index + 1] ?? ['s', 1]
    const rest = Math.floor((seconds % size) / nextSize)
    return whole >= 10 || rest === 0 ? `${whole}${name}` : `${whole}${name}${rest}${nextName}`
  }
  return `${seconds}s`
}

/** How long ago. A server whose clock is a little ahead gives `0s`. */
export const age = (time: string | null, now: number): string | null =>
  time === null ? null : duration(now - Date.parse(time))

/** `2026-01-31T12:00:00.000Z (5m ago)`, `(in 30s)` for what is to come. */
export const timeWithAge = (time: string | null, now: number): string | null => {
  if (time === null) return null
  const ms = now - Date.parse(time)
  return `${time} (${ms <= -1_000 ? `in ${duration(-ms)}` : `${duration(ms)} ago`})`
}
