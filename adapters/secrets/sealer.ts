/** Seals secrets at rest: AES-256-GCM (NIST SP 800-38D) under a key derived from STREAMSPACE_SECRET_KEY. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

type Secrets = { readonly [name: string]: string }

export type Sealer = { readonly seal: (secrets: Secrets) => Buffer; readonly unseal: (sealed: Buffer) => Secrets }

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** One key a purpose, all from the installation's secret (HKDF, RFC 5869). */
export const deriveKey = (secretKey: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secretKey, '', `streamspace ${purpose}`, 32))

export const createSealer = (secretKey: string): Sealer => {
  const key = deriveKey(secretKey, 'session secrets')
  return {
    seal: (secrets) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const text = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text])
    },
    unseal: (sealed) => {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()])
      return JSON.parse(text.toString('utf8'))
    },
  }
}
