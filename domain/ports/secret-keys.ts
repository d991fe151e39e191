/** Which secret things are sealed under, and sealing them anew when it was replaced by another. */

/**
 * `current`: as all others. `behind`: others seal under a newer one, which this server knows. `unknown`: it does not know what
 * others seal under, or what is there was sealed under.
 */
export type KeyStanding = 'current' | 'behind' | 'unknown'

export type Resealed = {
  readonly resealed: number
  /** What none of the secrets that are known opens. */
  readonly unreadable: number
}

export type SecretKeyStore = {
  /** Says which secrets this server has. A new one becomes the current one when the one that was is known too. */
  readonly introduce: () => Promise<KeyStanding>
  /** Whether all is sealed under the current one, and was looked at. */
  readonly isSettled: () => Promise<boolean>
  /** Seals anew what is not sealed under the current one, batch by batch, while others go on reading and writing. */
  readonly reseal: () => Promise<Resealed>
}
