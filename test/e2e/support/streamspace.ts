/** The program's own commands, started as a person starts them. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { atEndOfRun } from '../../support/end-of-run.ts'
import { databasesFrom, testServerUrl } from '../../support/postgres.ts'
import { type Rest, rest } from './rest.ts'
import { type Environment, type Program, root, type Scene } from './scene.ts'

export const cli = join(root, 'src/cli.ts')

/** `streamspace …`, on the Node that runs the tests. */
export const streamspace = (here: Scene, args: readonly string[], env: Environment = {}): Program =>
  here.start({
    command: process.execPath,
    args: [...(answers(args) ? ['--import', recordAnswers] : []), cli, ...args],
    env: { STREAMSPACE_TEST_CONTRACT: process.env.STREAMSPACE_TEST_CONTRACT ?? '', ...env },
  })

/** Whatever a server answers in any test is held against its OpenAPI document. */
const recordAnswers = new URL('../../support/contract/record-answers.ts', import.meta.url).href
const answers = ([command]: readonly string[]): boolean => command === 'server' || command === 'dev'

export type Running = { readonly program: Program; readonly url: string }

const listening = async (program: Program): Promise<Running> => ({
  program,
  url: String((await program.told('listening', 30_000)).url),
})

/** Everything on one machine, in this data directory. Its key is the one in `admin-key`. */
export type Installation = Running & { readonly rest: Rest; readonly dataDir: string }

const installation = async (program: Program, dataDir: string): Promise<Installation> => {
  const running = await listening(program)
  const key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
  return { ...running, dataDir, rest: rest(running.url, key) }
}

const devEnvironment = (dataDir: string, env: Environment): Environment => ({
  STREAMSPACE_DATA_DIR: dataDir,
  PORT: '0',
  ...env,
})

/** The word for word `npm start`, with the process group that a terminal would give it. */
export const npmStart = async (here: Scene, dataDir: string, env: Environment = {}): Promise<Installation> =>
  installation(
    here.start({ command: 'npm', args: ['start'], env: devEnvironment(dataDir, env), detached: true }),
    dataDir,
  )

/** The same without npm around it. */
export const dev = async (here: Scene, dataDir: string, env: Environment = {}): Promise<Installation> =>
  installation(streamspace(here, ['dev'], devEnvironment(dataDir, env)), dataDir)

/** Made once a run: nobody's, to be copied. */
let used: Promise<string> | undefined

const makeUsed = async (here: Scene): Promise<string> => {
  const place = await mkdtemp(join(tmpdir(), 'streamspace-e2e-used-'))
  atEndOfRun(() => rm(place, { recursive: true, force: true }))
  const dataDir = join(await here.folder(), 'data')
  const { program } = await dev(here, dataDir)
  program.signal('SIGTERM')
  await program.end()
  await copy(dataDir, join(place, 'data'))
  return join(place, 'data')
}

/** With owners and rights: the database belongs to a user of its own when the tests run as root. */
const copy = (from: string, to: string): Promise<unknown> => promisify(execFile)('cp', ['-Rp', from, to])

/** A data directory as an orderly stop left it, without sessions: making a new one takes seconds of everybody's time. */
export const usedDataDir = async (here: Scene): Promise<string> => {
  used ??= makeUsed(here)
  const dataDir = join(await here.folder(), 'data')
  await copy(await used, dataDir)
  return dataDir
}

/** The installation key of servers that tests start; the database of each is its own. */
export const ADMIN_KEY = 'ssk_e2eE2Ee2eE2Ee2eE2Ee2eE2Ee2eE2Ee2eE2E'

export type Server = Running & { readonly rest: Rest }

/** `streamspace server`, with quick intervals. */
export const server = async (here: Scene, databaseUrl: string, env: Environment = {}): Promise<Server> => {
  const running = await listening(
    streamspace(here, ['server'], {
      DATABASE_URL: databaseUrl,
      STREAMSPACE_ADMIN_KEY: ADMIN_KEY,
      STREAMSPACE_SECRET_KEY: 'a secret of the end-to-end tests',
      STREAMSPACE_DATA_DIR: join(await here.folder(), 'server'),
      PORT: '0',
      LOG_LEVEL: 'warn',
      ...env,
    }),
  )
  return { ...running, rest: rest(running.url, ADMIN_KEY) }
}

/** Enrolled over REST; its token. */
export const enrol = async (api: Rest, id: string, platform = 'process'): Promise<string> => {
  const { status, body } = await api.post('/agents', { id, platform })
  if (status !== 201) throw new Error(`${id} could not be enrolled: ${JSON.stringify(body)}`)
  return body.token
}

export type AgentStart = {
  readonly id: string
  readonly token: string
  readonly url: string
  readonly dataDir: string
  readonly platform?: 'process' | 'docker' | 'kubernetes'
}

/** `streamspace agent process` (or of another platform), which is back at once whenever it loses its server. */
export const agent = (
  here: Scene,
  { id, token, url, dataDir, platform = 'process' }: AgentStart,
  env: Environment = {},
): Program =>
  streamspace(here, ['agent', platform], {
    STREAMSPACE_URL: url,
    STREAMSPACE_AGENT_ID: id,
    STREAMSPACE_AGENT_TOKEN: token,
    STREAMSPACE_DATA_DIR: dataDir,
    STREAMSPACE_RECONNECT_CAP_MS: '500',
    LOG_LEVEL: 'warn',
    ...env,
  })

let databases: ReturnType<typeof databasesFrom> | undefined

/** A database as `streamspace migrate` leaves it, pg-boss' part too. */
export const migratedDatabase = async (here: Scene): Promise<string> => {
  const { migrateAll } = await import('../../../src/migrate.ts')
  databases ??= testServerUrl().then((url) =>
    databasesFrom(url, ({ databaseUrl }) => migrateAll(databaseUrl, () => {})),
  )
  const fresh = await (await databases).fresh()
  here.finally(fresh.drop)
  return fresh.url
}
