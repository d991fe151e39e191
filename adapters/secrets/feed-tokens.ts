/**
 * Positions in the feed as callers keep them: signed for one org, so that what is edited, made up or another org's is told from
 * what is merely old.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { OrgId } from '../../domain/ids.ts'
import type { FeedTokens } from '../../domain/ports/feed.ts'

const SIGNATURE_BYTES = 12
const LONGEST = 200
const BODY = /^([0-9a-f]{8})\.([0-9a-z]{1,13})\.([0-9a-z]{1,13})$/

/** What was given out under `previousKeys` is still taken: watchers go on while a key is replaced. */
export const createFeedTokens = (signingKey: Buffer, previousKeys: readonly Buffer[] = []): FeedTokens => {
  const sign = (orgId: OrgId, body: string, key = signingKey): Buffer =>
    createHmac('sha256', key).update(`${orgId}\n${body}`).digest().subarray(0, SIGNATURE_BYTES)
  return {
    encode: (orgId, { feed, xid, id }) => {
      const body = `${feed}.${xid.toString(36)}.${id.toString(36)}`
      return Buffer.concat([sign(orgId, body), Buffer.from(body)]).toString('base64url')
    },
    decode: (orgId, token) => {
      if (token.length > LONGEST) return null
      const bytes = Buffer.from(token, 'base64url')
      // Base64 has several spellings of the same bytes; there is one that we give.
      if (bytes.length <= SIGNATURE_BYTES || bytes.toString('base64url') !== token) return null
      const body = bytes.subarray(SIGNATURE_BYTES).toString('latin1')
      const signature = bytes.subarray(0, SIGNATURE_BYTES)
      const isSigned = [signingKey, ...previousKeys].some((key) => timingSafeEqual(signature, sign(orgId, body, key)))
      if (!isSigned) return null
      const [, feed = '', xid = '', id = ''] = BODY.exec(body) ?? []
      return feed === '' ? null : { feed, xid: Number.parseInt(xid, 36), id: Number.parseInt(id, 36) }
    },
  }
}
