/** Asks one host whether it takes writes. A host that swallows what is sent to it costs two seconds and no more. */
import pg from 'pg'

const PROBE_TIMEOUT_MS = 2_000

/** A standby is in recovery; a primary may have been made read-only by hand while another one takes over. */
const TAKES_WRITES = `SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS writable`

/** Rejects with why it does not, or why nobody knows. */
export const takesWrites = async (address: string): Promise<void> => {
  const client = new pg.Client({ connectionString: address, application_name: 'streamspace probe' })
  client.on('error', () => {}) // what was under way rejects, which is enough
  const asked = client.connect().then(() => client.query(TAKES_WRITES))
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      socketOf(client).destroy()
      reject(new Error(`no answer within ${PROBE_TIMEOUT_MS} ms`))
    }, PROBE_TIMEOUT_MS)
    asked.catch(() => {}).finally(() => clearTimeout(timer))
  })
  try {
    const { rows } = await Promise.race([asked, late])
    if (rows[0]?.writable !== true) throw new Error('takes no writes (a standby, or read-only)')
  } finally {
    client.end().catch(() => {})
  }
}

type Closable = {
  readonly connection: { readonly stream: { readonly destroyed: boolean; destroy(error?: Error): void } }
}

/** pg has no call that ends a connection at once whatever it is doing; its pool reaches for the socket too. */
export const socketOf = (client: pg.Client): Closable['connection']['stream'] =>
  (client as unknown as Closable).connection.stream
