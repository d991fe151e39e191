/** Where reports are written, in memory: rows by revision, leases by epoch, as the one statement has it. */
import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import type { ReportStore, ReportWrite } from '../../domain/ports/reports.ts'
import type { Decision, Session } from '../../domain/session/session.ts'

export type WrittenReports = ReportStore & {
  readonly rows: Map<SessionId, Session>
  readonly batches: (readonly ReportWrite[])[]
  readonly redelivered: SessionId[]
  readonly repairs: Decision[]
  readonly loadMany: (ids: readonly SessionId[]) => Promise<readonly Session[]>
}

export const reportStore = (
  sessions: readonly Session[],
  epochs: { readonly [agentId: string]: number },
  setting: {
    readonly failures?: readonly (readonly [CommandId, number])[]
    /** Of which the newest command was answered `superseded`. */
    readonly outpaced?: ReadonlySet<SessionId>
    /** Of which the newest command was answered `applied`. */
    readonly done?: ReadonlySet<SessionId>
    /** Asked after the database was restored. */
    readonly askedSince?: ReadonlySet<SessionId>
    /** Runs before each write, once: what someone else does meanwhile. */
    readonly meanwhile?: ((rows: Map<SessionId, Session>) => void)[]
  } = {},
): WrittenReports => {
  const rows = new Map(sessions.map((session) => [session.id, session]))
  const batches: (readonly ReportWrite[])[] = []
  const redelivered: SessionId[] = []
  const repairs: Decision[] = []
  const meanwhile = [...(setting.meanwhile ?? [])]

  const isFenced = ({ peer }: ReportWrite): boolean => epochs[peer.agentId] !== peer.epoch

  return {
    rows,
    batches,
    redelivered,
    repairs,
    loadMany: async (ids) => ids.flatMap((id) => rows.get(id) ?? []),
    write: async (writes) => {
      if (new Set(writes.map(({ sessionId }) => sessionId)).size < writes.length) throw new Error('a session twice')
      meanwhile.shift()?.(rows)
      batches.push(writes)
      const conflicts = new Set<SessionId>()
      for (const { decision, sessionId, ...write } of writes) {
        if (decision === null || isFenced({ decision, sessionId, ...write })) continue
        if (rows.get(sessionId)?.revision === decision.previous?.revision) rows.set(sessionId, decision.session)
        else conflicts.add(sessionId)
      }
      return { conflicts, fenced: new Set<AgentId>(writes.filter(isFenced).map(({ peer }) => peer.agentId)) }
    },
    attempts: async (commandIds) =>
      (setting.failures ?? [])
        .filter(([commandId]) => commandIds.includes(commandId))
        .map(([commandId, failures]) => ({ commandId, failures, generation: 3 })),
    repairsSoFar: async (asked) =>
      new Map(
        repairs.flatMap(({ session, command }): [SessionId, number][] =>
          asked.some(({ id, generation }) => id === session.id && generation === session.generation)
            ? [[session.id, command?.payload.repair ?? 0]]
            : [],
        ),
      ),
    repair: async (peer, decisions) => {
      meanwhile.shift()?.(rows)
      if (epochs[peer.agentId] !== peer.epoch) return { fenced: true, repaired: [] }
      const free = decisions.filter(({ session, previous }) => rows.get(session.id)?.revision === previous?.revision)
      for (const decision of free) rows.set(decision.session.id, decision.session)
      repairs.push(...free)
      return { fenced: false, repaired: free.map(({ session }) => session.id) }
    },
    outpaced: async (sessionIds, denied) =>
      new Set(sessionIds.filter((id) => setting.outpaced?.has(id) || (setting.done?.has(id) && denied.includes(id)))),
    askedSince: async (_peer, sessionIds) => new Set(sessionIds.filter((id) => setting.askedSince?.has(id))),
    redeliver: async (sessionIds, peer) => {
      if (peer !== undefined && epochs[peer.agentId] !== peer.epoch) return []
      redelivered.push(...sessionIds)
      return sessionIds.flatMap((id) => rows.get(id)?.agentId ?? [])
    },
    activity: async (touched) => touched.map(() => 'accepted'),
  }
}
