/** Percentiles of all values, by sorting them: no buckets, nothing estimated. */

export type Distribution = {
  readonly count: number
  readonly min: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** Nearest rank (the smallest value that at least `p` percent of all do not exceed). */
const ranked = (sorted: Float64Array, p: number): number =>
  sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN

export const distributionOf = (values: Iterable<number> | Float64Array): Distribution => {
  const sorted = Float64Array.from(values).sort()
  return {
    count: sorted.length,
    min: ranked(sorted, 0),
    p50: ranked(sorted, 50),
    p95: ranked(sorted, 95),
    p99: ranked(sorted, 99),
    max: ranked(sorted, 100),
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}
