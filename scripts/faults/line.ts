/** The one line that a run prints. */
import { kinds } from './check.ts'
import { intervalsNamed, intervalsText } from './intervals.ts'
import type { RunOptions } from './options.ts'
import type { Report } from './run.ts'

/** "kind times/in flight": how often it struck, and how often of those a command or a call was under way. */
const faultsText = (report: Report): string =>
  [...report.faults]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, { times, inFlight }]) => `${kind} ${times}/${inFlight}`)
    .join(', ')

export const lineOf = (options: RunOptions, report: Report): string => {
  const total = [...report.faults.values()].reduce((sum, { times }) => sum + times, 0)
  const { figures } = report
  return [
    `seed ${options.seed}`,
    `${report.commands} commands (${figures.refused} refused, ${figures.unavailable} answered 503, ${figures.unknown} without an answer)`,
    `${total} faults/struck in flight (${faultsText(report)})`,
    `${report.unjudged} of them not judged by themselves`,
    ...kinds.map((kind) => `${kind} ${report.findings.filter((finding) => finding.kind === kind).length}`),
    `503 but done ${report.unavailableButDone}`,
    `${report.looks} looks at what waits`,
    report.convergedMs === null
      ? `not converged within ${report.boundMs / 1_000} s`
      : `converged in ${(report.convergedMs / 1_000).toFixed(1)} s of ${report.boundMs / 1_000} s`,
    intervalsText(intervalsNamed[options.intervals]),
    `${options.minutes} minutes, ${options.replicas} servers, ${options.agents} agents, ${options.clients} clients`,
  ].join('; ')
}
