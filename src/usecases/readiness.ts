import type { Readiness } from '../../domain/ports/access.ts'

/** Whether a replica should be sent anything: it reaches the database, and that has the schema it began with. */
export const readiness = (appliedVersion: () => Promise<number>, known: number): Readiness => ({
  check: async () => {
    try {
      const now = await appliedVersion()
      return now === known
        ? { ready: true, reason: null }
        : {
            ready: false,
            reason: `the schema was migrated to version ${now}, this replica knows ${known}: replace it`,
          }
    } catch {
      return { ready: false, reason: 'the database cannot be reached' }
    }
  },
})
