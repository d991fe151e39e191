/** Locks held from outside, so that a test can stop a statement where it wants to and see what it holds by then. */
import { expect } from 'chai'
import pg from 'pg'
import { eventually } from './eventually.ts'

export type Held = { readonly release: () => Promise<void> }

const held = new Set<Held>()

/** For `afterEach`: what a test that failed did not let go of must not hold up the next one. */
export const letGo = async (): Promise<void> => {
  for (const one of held) await one.release()
}

/** A transaction of someone else's that has run these statements and is not over yet. */
export const holding = async (
  url: string,
  ...statements: readonly (readonly [string, ...unknown[]])[]
): Promise<Held> => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  await client.query('BEGIN')
  for (const [text, ...values] of statements) await client.query(text, values)
  const transaction: Held = {
    release: async () => {
      held.delete(transaction)
      await client.query('COMMIT')
      await client.end()
    },
  }
  held.add(transaction)
  return transaction
}

type Ask = (text: string, ...values: unknown[]) => Promise<readonly { readonly [column: string]: unknown }[]>

/** Until so many statements in this database wait for a lock. */
export const lockWaits = async (ask: Ask, count: number): Promise<void> => {
  await eventually(async () => {
    const rows = await ask(
      `SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    expect(rows).to.have.length(count)
  })
}

/** Whether nobody holds a lock on the row that keeps others from changing it. */
export const isFree = async (url: string, table: string, key: string, value: unknown): Promise<boolean> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`SELECT FROM ${table} WHERE ${key} = $1 FOR NO KEY UPDATE NOWAIT`, [value])
    return true
  } catch (error) {
    if ((error as { code?: string }).code === '55P03') return false
    throw error
  } finally {
    await client.end()
  }
}
