/**
 * Seals secrets at rest: AES-256-GCM (NIST SP 800-38D) under keys derived from STREAMSPACE_SECRET_KEY. What is sealed says under
 * which key it is, so that the secret can be replaced by another while both are known (`reseal`).
 *
 *   1 byte 0x01 · 8 bytes the key's id · 12 bytes nonce · 16 bytes tag · the text; the first nine are authenticated with it
 *
 * What was sealed before there were ids begins with its nonce.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

type Secrets = { readonly [name: string]: string }

export type Sealer = { readonly seal: (secrets: Secrets) => Buffer; readonly unseal: (sealed: Buffer) => Secrets }
export type TextSealer = { readonly seal: (text: string) => Buffer; readonly unseal: (sealed: Buffer) => string }

/** Sealed is under `current`; what is sealed under any of them can be opened. */
export type Keyring = { readonly current: string; readonly previous: readonly string[] }

const VERSION = Buffer.from([1])
const ID_BYTES = 8
const HEADER_BYTES = VERSION.length + ID_BYTES
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** One key a purpose, all from the installation's secret (HKDF, RFC 5869). */
export const deriveKey = (secretKey: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secretKey, '', `streamspace ${purpose}`, 32))

/** Tells secrets apart, and says nothing of them. */
export const keyIdOf = (secretKey: string): Buffer => deriveKey(secretKey, 'key id').subarray(0, ID_BYTES)

/** How everything begins that is sealed under it. */
export const sealedPrefixOf = (secretKey: string): Buffer => Buffer.concat([VERSION, keyIdOf(secretKey)])

export const createTextSealer = ({ current, previous }: Keyring, purpose: string): TextSealer => {
  const keys = [current, ...previous].map((secret) => ({
    header: sealedPrefixOf(secret),
    key: deriveKey(secret, purpose),
  }))
  const [{ header, key }] = keys as [(typeof keys)[number]]

  const openedWithout = (sealed: Buffer): string => {
    for (const each of keys) {
      try {
        return opened(each.key, sealed)
      } catch {
        // Perhaps by the next one.
      }
    }
    throw new Error('sealed under a key that is not known here')
  }

  return {
    seal: (text) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(header)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([header, nonce, cipher.getAuthTag(), body])
    },
    unseal: (sealed) => {
      const begins = sealed.subarray(0, HEADER_BYTES)
      const under = keys.find((each) => each.header.equals(begins))
      return under === undefined ? openedWithout(sealed) : opened(under.key, sealed.subarray(HEADER_BYTES), begins)
    },
  }
}

const opened = (key: Buffer, sealed: Buffer, header?: Buffer): string => {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  if (header !== undefined) decipher.setAAD(header)
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
  const text = sealed.subarray(NONCE_BYTES + TAG_BYTES)
  return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
}

/** Environment of sessions. */
export const createSealer = (keyring: Keyring): Sealer => {
  const { seal, unseal } = createTextSealer(keyring, SESSION_SECRETS)
  return { seal: (secrets) => seal(JSON.stringify(secrets)), unseal: (sealed) => JSON.parse(unseal(sealed)) }
}

export const SESSION_SECRETS = 'session secrets'
export const WEBHOOK_SECRETS = 'webhook secrets'
