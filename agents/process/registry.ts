/** The sessions that are held, and the right to do something with one. */
import type { SessionId } from '../../domain/ids.ts'
import type { Life } from './session-life.ts'

export type Registry = {
  readonly lives: Map<SessionId, Life>
  /** Interrupts what is being done with the session, then does this. */
  readonly run: <A>(life: Life, work: (signal: AbortSignal) => Promise<A>) => Promise<A>
}
