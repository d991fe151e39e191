/**
 * Connections to a database that may have several hosts, of which one takes writes. `pg` knows one host; this
 * is a `pg.Client` that finds out which one before it connects. The pool, pg-boss' statements, its LISTEN and
 * migrations all get theirs here, so what one of them learns of the hosts, all know.
 *
 * A connection that is open is not asked about again. What ends it is a statement that the server refuses as read-only
 * (`refusesWrites`), or the watch: a host that vanished without a word leaves sockets that say nothing for a quarter
 * of an hour, so while there are connections the host is asked every two seconds, and when it does not answer and another
 * one takes writes they are closed. With one host there is nothing to choose, and none of this happens.
 */
import pg from 'pg'
import { addressesOf } from '../../domain/ports/database-url.ts'
import { socketOf, takesWrites } from './probe.ts'
import { createHosts, type Hosts } from './writable-host.ts'

export type Connector = {
  readonly Client: typeof pg.Client
  /** For `Client`, whichever host it then chooses. */
  readonly config: { readonly connectionString: string }
  /** A connection of this database was told that the server takes no writes: all of them go, the next ones look anew. */
  readonly refusesWrites: () => void
}

type Connected = ((error: Error) => void) | ((error: null, client: pg.Client) => void)

const WATCH_EVERY_MS = 2_000

const connectors = new Map<string, Connector>()

/** One for all that connect to the same address. */
export const connectorTo = (url: string): Connector => {
  const addresses = addressesOf(url) ?? [url]
  if (addresses.length === 1) return { Client: pg.Client, config: { connectionString: url }, refusesWrites: () => {} }
  const known = connectors.get(url) ?? choosing(addresses)
  connectors.set(url, known)
  return known
}

const choosing = (addresses: readonly string[]): Connector => {
  const hosts = createHosts(addresses, takesWrites)
  const open = createOpenConnections(hosts)
  class ChoosingClient extends pg.Client {
    override connect(): Promise<this>
    override connect(callback: Connected): void
    override connect(callback?: Connected): Promise<this> | undefined {
      const connected = this.connectToWritable().then(() => this)
      if (callback === undefined) return connected
      connected.then(
        () => (callback as (error: null, client: pg.Client) => void)(null, this),
        callback as (error: Error) => void,
      )
      return undefined
    }

    private async connectToWritable(): Promise<void> {
      const address = await hosts.writable()
      // Whoever wanted it has stopped waiting, and destroyed the socket that was to be used.
      if (socketOf(this).destroyed) throw new Error('Connection terminated before it was made')
      const { host, port } = new pg.Client({ connectionString: address })
      Object.assign(this, { host, port })
      await super.connect()
      open.add(this, address)
    }
  }
  return {
    Client: ChoosingClient,
    config: { connectionString: addresses[0] ?? '' },
    refusesWrites: () => {
      hosts.forget()
      open.closeAll('the server takes no writes any more')
    },
  }
}

/** Every connection that is open, with its host; looked after for as long as there is one. */
const createOpenConnections = (hosts: Hosts) => {
  const open = new Map<pg.Client, string>()
  let isWatched = false

  const closeAll = (why: string, but?: string): void => {
    for (const [client, address] of [...open]) if (address !== but) socketOf(client).destroy(new Error(reset(why)))
  }
  const look = async (): Promise<void> => {
    // Rejects when no host takes writes: then the one that there was may still come back, and nothing is closed.
    const address = await hosts.writable()
    closeAll('another host takes writes now', address)
  }
  const watch = (): void => {
    if (isWatched) return
    isWatched = true
    setTimeout(async () => {
      await look().catch(() => {})
      isWatched = false
      if (open.size > 0) watch()
    }, WATCH_EVERY_MS).unref()
  }
  return {
    closeAll,
    add: (client: pg.Client, address: string): void => {
      open.set(client, address)
      client.once('end', () => open.delete(client))
      watch()
    },
  }
}

/** Begins like what pg says when a server hangs up: it is the same to whoever waits for an answer. */
const reset = (why: string): string => `Connection terminated: ${why}`
