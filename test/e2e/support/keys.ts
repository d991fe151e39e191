/** API keys, as someone with rights in the database would make them. */
import { createHash, randomUUID } from 'node:crypto'
import pg from 'pg'

/** Of `default`, or of an org that is made when it is not there. */
export const keyOf = async (databaseUrl: string, role: string, org = 'default', user = 'someone'): Promise<string> => {
  const key = `ssk_${createHash('sha256').update(randomUUID()).digest('hex')}`
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('INSERT INTO orgs (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING', [org])
  await client.query(
    `INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash) VALUES ($1, $2, $6, $3, 'test', $4, $5)`,
    [randomUUID(), org, role, key.slice(0, 12), createHash('sha256').update(key).digest(), user],
  )
  await client.end()
  return key
}
