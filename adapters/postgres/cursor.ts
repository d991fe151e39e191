/**
 * Opaque cursors: the sort key of the last row of a page (times in microseconds, as PostgreSQL keeps them), tied to the list that
 * it belongs to (whose, with which filters, in which order) and signed, so that a forged or misplaced one is refused.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { BadCursorError } from '../../domain/ports/sessions.ts'
import { canonicalJson } from '../../domain/template/template.ts'

export type Cursors = {
  readonly encode: (list: string, key: readonly (string | number)[]) => string
  /** The key, or null for the first page. Throws `BadCursorError`. */
  readonly decode: (list: string, cursor: string | null) => readonly (string | number)[] | null
}

const SIGNATURE_BYTES = 12

/** What a cursor is tied to. Filters that mean the same have the same name: several values are any of them, in whatever order. */
export const listOf = (name: string, whose: string | null, filters: object = {}): string =>
  canonicalJson([
    name,
    whose,
    Object.fromEntries(Object.entries(filters).map(([key, value]) => [key, unordered(value)])),
  ])

const unordered = (value: unknown): unknown =>
  Array.isArray(value) ? value.map((one) => JSON.stringify(one)).toSorted() : value

/** What was given out under `previousKeys` is still taken: pages are walked through while a key is replaced. */
export const createCursors = (signingKey: Buffer, previousKeys: readonly Buffer[] = []): Cursors => {
  const sign = (list: string, body: string, key = signingKey): Buffer =>
    createHmac('sha256', key).update(`${list}\n${body}`).digest().subarray(0, SIGNATURE_BYTES)
  return {
    encode: (list, key) => {
      const body = JSON.stringify(key)
      return Buffer.concat([sign(list, body), Buffer.from(body)]).toString('base64url')
    },
    decode: (list, cursor) => {
      if (cursor === null) return null
      const bytes = Buffer.from(cursor, 'base64url')
      const body = bytes.subarray(SIGNATURE_BYTES).toString('utf8')
      const signature = bytes.subarray(0, SIGNATURE_BYTES)
      // Several texts decode to the same bytes: what is not as it was given out is refused, whatever it would mean.
      const isAsGiven = bytes.toString('base64url') === cursor && signature.length === SIGNATURE_BYTES
      const isSigned = () =>
        [signingKey, ...previousKeys].some((key) => timingSafeEqual(signature, sign(list, body, key)))
      if (!isAsGiven || !isSigned()) throw new BadCursorError()
      return JSON.parse(body)
    },
  }
}

/** Splits off the row that only tells whether there is a next page. */
export const pageOf = <R, A>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => A,
  cursorAt: (row: R) => string,
): { readonly items: readonly A[]; readonly nextCursor: string | null } => {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return { items: shown.map(view), nextCursor: rows.length > limit && last !== undefined ? cursorAt(last) : null }
}
