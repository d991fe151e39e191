import type { Client } from '../client/client.ts'
import { type Connection, clientFor, connectionOf } from './connection.ts'
import { processTerminal, type Terminal } from './terminal.ts'

/** What every command is given. */
export type Context = {
  readonly environment: NodeJS.ProcessEnv
  readonly terminal: Terminal
  readonly connection: () => Promise<Connection>
  readonly client: () => Promise<Client>
  /** Commands that go on without anyone reading what they print call this first. */
  readonly goOnWithoutReader: () => void
}

export const processContext = (goOnWithoutReader: () => void): Context => {
  const environment = process.env
  let known: Promise<Connection> | null = null
  const connection = (): Promise<Connection> => {
    known ??= connectionOf(environment)
    return known
  }
  return {
    environment,
    terminal: processTerminal(environment),
    connection,
    client: async () => clientFor(await connection()),
    goOnWithoutReader,
  }
}
