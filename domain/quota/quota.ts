/** What an org may have at once: in all, each of its users, and of each template. */

/** `maxSessions` counts what is kept, in whatever state; the others what is to run. null: no limit. */
export const quotaNames = ['maxSessions', 'maxRunning', 'cpuMillis', 'memoryMib'] as const
export type QuotaName = (typeof quotaNames)[number]

export type Limits = { readonly [N in QuotaName]: number | null }

export type Quota = Limits & {
  /** Of every user, each for themselves. */
  readonly perUser: Limits
  /** Of a template, by its name, whatever its version and whoever made it. */
  readonly perTemplate: { readonly [name: string]: Limits }
}

export const quotaScopes = ['org', 'user', 'template'] as const
export type QuotaScope = (typeof quotaScopes)[number]

export const noLimits: Limits = { maxSessions: null, maxRunning: null, cpuMillis: null, memoryMib: null }
export const noQuota: Quota = { ...noLimits, perUser: noLimits, perTemplate: {} }

const limitsInOrder = ({ maxSessions, maxRunning, cpuMillis, memoryMib }: Limits): Limits => ({
  maxSessions,
  maxRunning,
  cpuMillis,
  memoryMib,
})

/** The same quota is the same text, wherever it was read. */
export const inOrder = (quota: Quota): Quota => ({
  ...limitsInOrder(quota),
  perUser: limitsInOrder(quota.perUser),
  perTemplate: Object.fromEntries(
    Object.entries(quota.perTemplate)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, limits]) => [name, limitsInOrder(limits)]),
  ),
})

const isLimiting = (limits: Limits): boolean => quotaNames.some((name) => limits[name] !== null)

/** Whether anything is limited at all: what an org has is counted only then. */
export const limitsAnything = (quota: Quota): boolean =>
  isLimiting(quota) || isLimiting(quota.perUser) || Object.values(quota.perTemplate).some(isLimiting)
