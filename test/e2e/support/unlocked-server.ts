/**
 * A server in the process of the test, whose database the test stands before: it takes one of the two locks between orgs away, or
 * notes which statements a request comes to.
 */
import { pino } from 'pino'
import { type Database, type DatabaseSettings, openDatabase, type Queries } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { serverSettings } from '../../../src/program/settings.ts'
import { startServer } from '../../../src/server.ts'
import type { Scene } from './scene.ts'

/**
 * `scope`: the connection is this org's, whichever org a statement names, as if each statement named the wrong one. `policies`:
 * nobody's row level security.
 */
export type WithoutLock = { readonly scope: OrgId } | 'policies' | 'neither'

export type UnlockedServer = {
  readonly url: string
  /** What was sent since the last call, a text a statement. */
  readonly statements: () => readonly string[]
}

const opening =
  (without: WithoutLock, note: (text: string) => void) =>
  (settings: DatabaseSettings): Database => {
    const noting = (queries: Queries): Queries => ({
      query: (query) => {
        note(query.text)
        return queries.query(query)
      },
      transaction: (work) =>
        queries.transaction((query) =>
          work((asked) => {
            note(asked.text)
            return query(asked)
          }),
        ),
    })
    const locked = openDatabase(settings)
    const unlocked = without === 'policies' ? openDatabase({ ...settings, as: 'login' }) : locked
    const of =
      (database: Database): Database['of'] =>
      (orgs) =>
        noting(typeof without === 'object' ? database.of(without.scope) : database.of(orgs))
    const bound = (database: Database): Database => ({
      ...noting(database),
      of: of(database),
      together: (work) => work(bound(database)),
      close: async () => {},
    })
    return {
      ...noting(locked),
      of: of(unlocked),
      together: (work) => unlocked.together((inner) => work(bound(inner))),
      close: async () => void (await Promise.all([...new Set([locked, unlocked])].map((one) => one.close()))),
    }
  }

export const unlockedServer = async (
  here: Scene,
  databaseUrl: string,
  without: WithoutLock,
): Promise<UnlockedServer> => {
  let noted: string[] = []
  const settings = serverSettings({
    DATABASE_URL: databaseUrl,
    STREAMSPACE_SECRET_KEY: 'a secret of the end-to-end tests',
    STREAMSPACE_DATA_DIR: await here.folder(),
    PORT: '0',
  })
  const server = await startServer(
    { ...settings, secretKey: settings.secretKey ?? '' },
    pino({ level: 'silent' }),
    opening(without, (text) => void noted.push(text)),
  )
  here.finally(server.close)
  return {
    url: server.url,
    statements: () => {
      const since = noted
      noted = []
      return since
    },
  }
}
