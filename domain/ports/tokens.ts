export type Tokens = {
  /** `ssk_` and 43 of `[A-Za-z0-9]`. */
  readonly apiKey: () => string
  /** `ssa_` and 43 of `[A-Za-z0-9]`. */
  readonly agentToken: () => string
  /** `whsec_` and 32 random bytes in base64, as Standard Webhooks has them. */
  readonly webhookSecret: () => string
  /** SHA-256: enough for random secrets of 256 bits, which no dictionary holds. */
  readonly hash: (token: string) => Buffer
  /** In constant time. */
  readonly matches: (token: string, hash: Buffer) => boolean
}

/** How many characters of a key it is looked up by. */
export const KEY_PREFIX_LENGTH = 12
export const API_KEY = /^ssk_[A-Za-z0-9]{32,}$/
