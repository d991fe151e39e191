import type { Installation } from '../installation.ts'
import type { LoadResult } from '../load/plan.ts'

/** Requests that failed, and what the server complained of. */
export const doubtsOf = (installation: Installation, results: readonly LoadResult[]): string[] => {
  const complaints = installation.complaints()
  return [
    ...results.flatMap(({ failures }) =>
      Object.entries(failures).map(([how, count]) => `${count} requests were answered with: ${how}`),
    ),
    ...(complaints.length === 0
      ? []
      : [`the server logged ${complaints.length} warnings, the last: ${(complaints.at(-1) ?? '').slice(0, 300)}`]),
  ]
}
