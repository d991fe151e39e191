/** The duty that seals anew what was sealed under a secret that was replaced. */
import type { Duty } from '../../domain/ports/jobs.ts'
import type { SecretKeyStore } from '../../domain/ports/secret-keys.ts'

export type ResealDeps = {
  readonly keys: Pick<SecretKeyStore, 'isSettled' | 'reseal'>
  /** While earlier secrets are known something may still be sealed under one, by a server that has not been told of the new one. */
  readonly hasPrevious: boolean
  readonly elapsed: () => number
  readonly told: (what: string, fields: object) => void
}

const EVERY_MS = 60_000
const LOOK_AGAIN_AFTER_MS = 10 * 60_000

export const reseal = ({ keys, hasPrevious, elapsed, told }: ResealDeps): Duty => {
  let lookedAt: number | null = null
  return {
    name: 'reseal',
    everyMs: EVERY_MS,
    run: async () => {
      const settled = await keys.isSettled()
      const isDue = lookedAt === null || elapsed() - lookedAt >= LOOK_AGAIN_AFTER_MS
      if (settled && !(hasPrevious && isDue)) return { resealed: 0, unreadable: 0 }
      const done = await keys.reseal()
      lookedAt = elapsed()
      if (done.unreadable > 0)
        told(
          'secrets cannot be opened: give the key that they were sealed under in STREAMSPACE_SECRET_KEY_PREVIOUS',
          done,
        )
      else if (done.resealed > 0)
        told(
          'all secrets are sealed under the current key; what STREAMSPACE_SECRET_KEY_PREVIOUS has may go a day from now',
          done,
        )
      return done
    },
  }
}
