/**
 * `npm start`, the same as `streamspace dev`: everything on one machine. PostgreSQL (embedded, unless
 * DATABASE_URL names one), migrations and the server in this process' care; the agent is a process of its
 * own, so that it can be killed and comes back as anywhere else.
 */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { lockDataDirectory } from '../adapters/embedded-postgres/data-directory-lock.ts'
import { startEmbeddedPostgres } from '../adapters/embedded-postgres/start.ts'
import { databaseReady } from './database-ready.ts'
import { enrolLocalAgent } from './enrol-local-agent.ts'
import { createLog } from './log.ts'
import { migrateAll } from './migrate.ts'
import { ExitError } from './program/exit-error.ts'
import { adminKeyFile } from './program/first-start.ts'
import { secretKeyOf } from './program/secret-key.ts'
import { dataDir, serverSettings } from './program/settings.ts'
import { stopSignal } from './program/stop-signal.ts'
import { announce, startOrExplain, tellUnknownSettings } from './run-server.ts'
import { superviseAgent } from './supervise-agent.ts'

/** Ends what was started, the latest first; what one of them cannot do does not keep the others from ending. */
type Ending = { readonly what: string; readonly end: () => Promise<void> }

export const runDev = async (): Promise<void> => {
  const directory = dataDir(process.env)
  const own = process.env.DATABASE_URL === undefined || process.env.DATABASE_URL === ''
  // Checked before anything is started or written; the real database's URL is known only later.
  const settings = serverSettings(process.env, {
    logLevel: 'warn',
    ...(own ? { databaseUrl: 'postgres://embedded' } : {}),
  })
  const log = createLog(settings.logLevel)
  tellUnknownSettings(log)
  const stopped = new AbortController()
  const signal = stopSignal().then(() => stopped.abort())
  const endings: Ending[] = []
  try {
    await mkdir(directory, { recursive: true }).catch((error: Error) => {
      throw new ExitError(
        1,
        `the data directory cannot be made: ${error.message}. Choose another with STREAMSPACE_DATA_DIR.`,
      )
    })
    const lock = await lockDataDirectory(directory).catch((error: Error) => {
      throw new ExitError(1, error.message)
    })
    endings.push({ what: 'the data directory', end: lock.release })

    let databaseUrl = settings.databaseUrl
    if (own) {
      const postgres = await startEmbeddedPostgres({
        dataDir: join(directory, 'postgres'),
        onLog: (line) => log.debug({ line }, 'postgres'),
      }).catch((error: Error) => {
        throw new ExitError(1, `the embedded PostgreSQL did not start: ${error.message}`)
      })
      endings.push({ what: 'PostgreSQL', end: () => postgres.stop() })
      databaseUrl = postgres.url
    }
    const direct = own ? databaseUrl : settings.directUrl
    // Reachable is enough: the schema is brought up to date here.
    if (!own) await databaseReady(direct, log, stopped.signal, 'any schema')
    await migrateAll(direct, (line) => log.info(line))

    const server = await startOrExplain(
      { ...settings, databaseUrl, directUrl: direct, secretKey: await secretKeyOf(settings) },
      log,
    )
    endings.push({ what: 'the server', end: server.close })
    const identity = await enrolLocalAgent(direct, directory, { shared: !own })
    const agent = superviseAgent({ ...identity, url: server.loopbackUrl, dataDir: directory }, log)
    endings.push({ what: 'the agent', end: agent.stop })

    announce(server)
    process.stdout.write(welcome(server.url, directory))
    await signal
    process.stdout.write('stopping: sessions end now and run again at the next start\n')
  } catch (error) {
    if (!stopped.signal.aborted) throw error
  } finally {
    for (const { what, end } of endings.reverse())
      await end().catch((error: unknown) => log.error({ err: error }, `${what} did not end in order`))
  }
}

/** The command line asks port 8080 unless it is told otherwise. */
const elsewhere = (url: string): string => (new URL(url).port === '8080' ? '' : `STREAMSPACE_URL=${url} `)

const welcome = (url: string, directory: string): string => {
  const file = adminKeyFile(directory)
  const key = existsSync(file)
    ? relative(process.cwd(), file) || file
    : 'as STREAMSPACE_ADMIN_KEY had it at the first start'
  return [
    '',
    `  StreamSpace   ${url}`,
    `  API           ${url}/docs`,
    `  admin key     ${key}`,
    '',
    `  first session ${elsewhere(url)}scripts/streamspace session create hello-web --wait`,
    '  stop          Ctrl-C (the data stays in place)',
    '',
    '',
  ].join('\n')
}
