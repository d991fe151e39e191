/**
 * Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header): the first answer to a mutation is kept with the change that
 * it made, and is the answer to whoever asks the same again.
 */
import type { OrgId } from '../ids.ts'
import type { AuditEntry } from './audit.ts'

/** Whose request it is, and which. */
export type RequestIdentity = {
  readonly orgId: OrgId
  readonly caller: string
  /** SHA-256 of the key, in hex. */
  readonly keyHash: string
  /** HMAC of what was asked, in hex. */
  readonly fingerprint: string
}

export type KeptAnswer = {
  readonly status: number
  readonly location: string | null
  /** JSON; bytes where it is sealed, and opened with the key that came with the request. null: none. */
  readonly body: string | Buffer | null
}

export type KeptRequest = RequestIdentity & KeptAnswer

export type FoundAnswer = KeptAnswer & Pick<RequestIdentity, 'fingerprint'>

/** As long as a client may come again with the same key. */
export const ANSWERS_KEPT_MS = 86_400_000

/** What is written with a change, beside the change itself. */
export type Kept = {
  readonly orgId: OrgId
  /** null: the request came without a key. */
  readonly answer: KeptRequest | null
  readonly audit: AuditEntry | null
  /** Of its parts, where many were asked for at once: as each would be told alone. */
  readonly parts?: readonly AuditEntry[]
  /** The same in the trails of other orgs, to whose things it was done. */
  readonly elsewhere?: readonly AuditEntry[]
}

export type Told = Pick<Kept, 'audit' | 'parts' | 'elsewhere'>

/** What was there before: what is now another, or what is gone. */
export type Before<A> =
  | { readonly kind: 'changed'; readonly was: A }
  | { readonly kind: 'removed'; readonly was: object }

/** What is to be written when this comes of it. Left out: nobody asked for it. */
export type Keep<A> = (result: A, before?: Before<A>) => Kept

export type IdempotencyStore = {
  readonly find: (orgId: OrgId, caller: string, keyHash: string) => Promise<FoundAnswer | null>
  /** For what changed nothing: it is asked again without an effect, and answered as the first time. False: there is an answer already. */
  readonly keep: (kept: KeptRequest) => Promise<boolean>
}
