/** How many tests went which way, and the line in which a whole run ends. */
export type Counts = {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Which tests failed, and why: said once more at the end of a run of many minutes. */
  readonly failures?: readonly string[]
}

export const noCounts: Counts = { passed: 0, failed: 0, skipped: 0 }

export const oneFailure: Counts = { passed: 0, failed: 1, skipped: 0 }

export const sum = (all: readonly Counts[]): Counts =>
  all.reduce(
    (total, counts) => ({
      passed: total.passed + counts.passed,
      failed: total.failed + counts.failed,
      skipped: total.skipped + counts.skipped,
    }),
    noCounts,
  )

/** Programs read this line: it is always the last one, and always looks like this. */
export const closingLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`
