/**
 * What a platform (process, Docker, Kubernetes) does for the agent runtime. The runtime knows the
 * protocol and no platform; a platform knows its resources and no protocol. Truth about what was applied
 * is kept by the platform on the resource itself (session id, generation), never by the runtime.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Desired, InventoryItem, WireCapacity, WireNote, WireObserved } from '../protocol.ts'

/** One session at one generation, complete: nothing has to be looked up. */
export type Target = { readonly sessionId: SessionId; readonly generation: number; readonly desired: Desired }

/** What the platform says by itself: a change that no command asked for, or progress of an apply. */
export type PlatformReport = {
  readonly sessionId: SessionId
  readonly generation: number
  /** For the session's history, beside how it is. */
  readonly note?: WireNote
} & WireObserved

export type PlatformListener = {
  readonly report: (report: PlatformReport) => void
  readonly activity: (sessionId: SessionId, at: Date) => void
  /** The platform as a whole cannot be used (engine gone, disk full), with why; null when it can again. */
  readonly degraded: (reason: string | null) => void
}

export type Applied =
  /** It is so now. `observed` is null when nothing is left (a deleted session). */
  | { readonly kind: 'applied'; readonly observed: WireObserved | null }
  /** A retryable failure is sent again later; a final one makes the session `failed`. */
  | {
      readonly kind: 'failed'
      readonly code: string
      readonly message: string
      readonly retryable: boolean
      readonly observed?: WireObserved
    }
  /** The command cannot be understood here (a spec without a part for this platform). */
  | { readonly kind: 'rejected'; readonly code: string; readonly message: string }
  /** `signal` was aborted: a newer generation waits. What was begun is left labelled for the next apply to adopt. */
  | { readonly kind: 'interrupted' }

export type ApplyContext = {
  /** Aborted when a newer generation of the same session has arrived, or the agent is stopping. */
  readonly signal: AbortSignal
  /** Progress while the session starts: sent as a `starting` status of this generation. */
  readonly progress: (reason: string, message: string) => void
}

export type Held = { readonly generation: number; readonly observed: WireObserved }

export type Platform = {
  /** `process`, `docker`, `kubernetes`: what the agent was enrolled for. */
  readonly name: string
  readonly capacity: () => Promise<WireCapacity>
  /** Adopts what is there from earlier runs, then watches. Called once, before the first connection. */
  readonly open: (listener: PlatformListener) => Promise<void>
  /**
   * False while what is there cannot be known yet, because the platform was not to be used at `open`: no inventory is
   * sent then, which would say that everything is gone. `degraded(null)` tells that it is known. Without this: always.
   */
  readonly adopted?: () => boolean
  /** What is held of a session now, or null when nothing is left of it. */
  readonly held: (sessionId: SessionId) => Held | null
  /**
   * Makes it so and records the generation on the resource. The runtime calls it for one session one at a
   * time, and only with a generation above the one held. Resolves when it is so (a started session: when
   * it is ready or has failed); never rejects for reasons of the platform.
   */
  readonly apply: (target: Target, context: ApplyContext) => Promise<Applied>
  /** Every session of which anything is left, a kept home included. From memory: it is asked often. */
  readonly inventory: () => readonly InventoryItem[]
  /** Stops watching and leaves every session as it is (an agent's SIGTERM). */
  readonly close: () => Promise<void>
  /** Ends every workload but keeps what is needed to run it again at the next `open` (the end of `npm start`). */
  readonly suspend: () => Promise<void>
}
