/**
 * Which secret things are sealed under. Sealing anew goes along the primary keys, a few rows a statement, and replaces a value only
 * as long as it is the one that was read: whoever changes a secret meanwhile wins, and seals under the current one anyway.
 */
import type { KeyStanding, Resealed, SecretKeyStore } from '../../domain/ports/secret-keys.ts'
import type { Database, Queries } from './pool.ts'

export type SecretKeySettings = {
  readonly keyId: Buffer
  /** Of the others that are known. */
  readonly previousKeyIds: readonly Buffer[]
  /** How everything begins that is sealed under the current one. */
  readonly prefix: Buffer
  readonly sealed: {
    readonly [T in SealedTable]: {
      readonly seal: (text: string) => Buffer
      readonly unseal: (sealed: Buffer) => string
    }
  }
}

/** Where something is sealed: tables with an id, and columns of them. */
const SEALED = {
  sessions: ['secrets'],
  webhooks: ['secret', 'previous_secret'],
} as const
type SealedTable = keyof typeof SEALED

const TABLES = Object.keys(SEALED) as SealedTable[]
const ROWS_AT_ONCE = 200
const NO_ID = '00000000-0000-0000-0000-000000000000'
/** One server after another says which secrets it has. */
const LOCK = `SELECT pg_advisory_xact_lock(hashtext('streamspace secret keys'))`

const otherwiseSealed = (table: SealedTable, column: string): string => `
SELECT id, ${column} AS sealed FROM ${table}
 WHERE ${column} IS NOT NULL AND id > $1 AND substring(${column} FROM 1 FOR $3) <> $2
 ORDER BY id LIMIT ${ROWS_AT_ONCE}`

const replace = (table: SealedTable, column: string): string =>
  `UPDATE ${table} SET ${column} = $3 WHERE id = $1 AND ${column} = $2`

export const createSecretKeyStore = (database: Database, settings: SecretKeySettings): SecretKeyStore => {
  const { keyId, previousKeyIds, prefix, sealed } = settings

  const opens = (table: SealedTable, value: Buffer): string | null => {
    try {
      return sealed[table].unseal(value)
    } catch {
      return null
    }
  }

  /** What was sealed before anybody said under what: one of it has to open. */
  const opensWhatIsThere = async (query: Queries['query']): Promise<boolean> => {
    for (const table of TABLES) {
      const [column] = SEALED[table]
      const { rows } = await query({
        text: `SELECT ${column} AS sealed FROM ${table} WHERE ${column} IS NOT NULL ORDER BY id DESC LIMIT 1`,
      })
      if (rows[0] !== undefined && opens(table, rows[0].sealed) === null) return false
    }
    return true
  }

  const resealColumn = async (table: SealedTable, column: string): Promise<Resealed> => {
    let after = NO_ID
    let resealed = 0
    let unreadable = 0
    for (;;) {
      const { rows } = await database.query({
        text: otherwiseSealed(table, column),
        values: [after, prefix, prefix.length],
      })
      for (const { id, sealed: before } of rows) {
        const text = opens(table, before)
        if (text === null) {
          unreadable += 1
          continue
        }
        const { rowCount } = await database.query({
          name: `reseal_${table}_${column}`,
          text: replace(table, column),
          values: [id, before, sealed[table].seal(text)],
        })
        resealed += rowCount
      }
      if (rows.length < ROWS_AT_ONCE) return { resealed, unreadable }
      after = rows.at(-1).id
    }
  }

  return {
    introduce: () =>
      database.transaction(async (query): Promise<KeyStanding> => {
        await query({ text: LOCK })
        const { rows } = await query({ text: 'SELECT id FROM secret_keys ORDER BY introduced_at DESC, id LIMIT 1' })
        const current: Buffer | undefined = rows[0]?.id
        if (current?.equals(keyId)) return 'current'
        const isKnownHere = current !== undefined && previousKeyIds.some((id) => id.equals(current))
        if (current !== undefined && !isKnownHere) return 'unknown'
        if (current === undefined && !(await opensWhatIsThere(query))) return 'unknown'
        const { rowCount } = await query({
          text: 'INSERT INTO secret_keys (id) VALUES ($1) ON CONFLICT DO NOTHING',
          values: [keyId],
        })
        if (rowCount > 0) return 'current'
        // It was the current one before. It seals under that again: what is settled is to be looked at once more.
        await query({ text: 'UPDATE secret_keys SET settled_at = NULL WHERE id = $1', values: [current] })
        return 'behind'
      }),

    isSettled: async () => {
      const { rows } = await database.query({
        text: 'SELECT settled_at FROM secret_keys WHERE id = $1',
        values: [keyId],
      })
      return rows[0] !== undefined && rows[0].settled_at !== null
    },

    reseal: async () => {
      let resealed = 0
      let unreadable = 0
      for (const table of TABLES)
        for (const column of SEALED[table]) {
          const found = await resealColumn(table, column)
          resealed += found.resealed
          unreadable += found.unreadable
        }
      if (unreadable === 0)
        await database.query({
          text: 'UPDATE secret_keys SET settled_at = coalesce(settled_at, now()) WHERE id = $1',
          values: [keyId],
        })
      return { resealed, unreadable }
    },
  }
}
