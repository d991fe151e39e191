/**
 * Results of removals. What an agent answers about an orphan is about no session of its own, so it is told apart by
 * its command, after everything else: results of sessions pay nothing for it.
 */
import type { CommandId } from '../../domain/ids.ts'
import { fateOf } from '../../domain/outbox/result.ts'
import type { ReportAnswer } from '../../domain/ports/delivery.ts'
import type { OrphanStore } from '../../domain/ports/orphans.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import type { AgentReport } from './apply-reports.ts'

export type SettleRemovalsDeps = {
  readonly orphans: Pick<OrphanStore, 'settle'>
  readonly reports: Pick<ReportStore, 'attempts'>
  readonly random: () => number
  /** So many removals were answered, one way or another. */
  readonly told: (answered: number) => void
  readonly applyReports: (items: readonly AgentReport[]) => Promise<readonly ReportAnswer[]>
}

type Result = Extract<AgentReport, { readonly kind: 'result' }>

export const settleRemovals =
  (deps: SettleRemovalsDeps) =>
  async (items: readonly AgentReport[]): Promise<readonly ReportAnswer[]> => {
    const answers = await deps.applyReports(items)
    const strange = items.filter((item, index): item is Result => item.kind === 'result' && isStrange(answers[index]))
    if (strange.length === 0) return answers
    const { settled, fenced } = await deps.orphans.settle(await fatesOf(deps, strange))
    if (settled.size > 0) deps.told(settled.size)
    return items.map((item, index) => {
      const answer = answers[index] ?? 'accepted'
      if (item.kind !== 'result' || !isStrange(answer)) return answer
      if (settled.has(item.result.commandId)) return 'accepted'
      return fenced.has(item.peer.agentId) ? 'fenced' : answer
    })
  }

/** What no session of the agent explains. */
const isStrange = (answer: ReportAnswer | undefined): boolean =>
  answer === 'not_yours' || answer === 'unexpected_generation'

const fatesOf = async ({ reports, random }: SettleRemovalsDeps, results: readonly Result[]) => {
  const failed = results.flatMap(({ result }) => (result.outcome === 'failed' ? [result.commandId] : []))
  const failures = new Map<CommandId, number>(
    (failed.length === 0 ? [] : await reports.attempts(failed)).map((one) => [one.commandId, one.failures]),
  )
  // Said twice, a result counts once: the last word on each command of each connection.
  const last = new Map(results.map((one) => [`${one.peer.agentId}/${one.peer.epoch}/${one.result.commandId}`, one]))
  return [...last.values()].map(({ peer, result }) => ({
    peer,
    commandId: result.commandId,
    fate: fateOf(result, { failures: failures.get(result.commandId) ?? 0, random: random() }),
  }))
}
