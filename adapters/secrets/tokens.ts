/** Keys and tokens: made at random, shown once, kept as a hash. */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { Tokens } from '../../domain/ports/tokens.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 43 characters of 62 are 256 bits. */
const random = (prefix: string): string =>
  prefix + Array.from({ length: 43 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')

export const tokens: Tokens = {
  apiKey: () => random('ssk_'),
  agentToken: () => random('ssa_'),
  webhookSecret: () => `whsec_${randomBytes(32).toString('base64')}`,
  hash: (token) => createHash('sha256').update(token).digest(),
  matches: (token, hash) => timingSafeEqual(createHash('sha256').update(token).digest(), hash),
}
