/** `streamspace server`. */
import { databaseReady } from './database-ready.ts'
import { createLog } from './log.ts'
import { writeCompiled } from './program/compiled.ts'
import { ExitError } from './program/exit-error.ts'
import type { InstallationKey } from './program/first-start.ts'
import { secretKeyOf } from './program/secret-key.ts'
import { UnknownSecretKeyError } from './program/secret-keyring.ts'
import { type ServerSettings, serverSettings, unknownSettings } from './program/settings.ts'
import { stopSignal } from './program/stop-signal.ts'
import { type RunningServer, startServer } from './server.ts'

export const runServer = async (): Promise<void> => {
  const settings = serverSettings(process.env)
  const log = createLog(settings.logLevel)
  tellUnknownSettings(log)
  const stopped = new AbortController()
  const signal = stopSignal().then((name) => {
    stopped.abort()
    return name
  })
  try {
    await databaseReady(settings.directUrl, log, stopped.signal)
  } catch (error) {
    if (stopped.signal.aborted) return
    throw error
  }
  const server = await startOrExplain({ ...settings, secretKey: await secretKeyOf(settings) }, log)
  announce(server)
  log.info({ signal: await signal }, 'stopping')
  await server.close()
}

export const tellUnknownSettings = (log: ReturnType<typeof createLog>): void => {
  const names = unknownSettings(process.env)
  if (names.length > 0) log.warn({ names }, 'there are no such settings: misspelt? (docs/operations.md#settings)')
}

export const startOrExplain = async (
  settings: ServerSettings & { readonly secretKey: string },
  log: ReturnType<typeof createLog>,
): Promise<RunningServer> => {
  try {
    return await startServer(settings, log)
  } catch (error) {
    if (error instanceof UnknownSecretKeyError || (error as Error).name === 'CannotListenError')
      throw new ExitError(1, (error as Error).message)
    throw error
  }
}

/** Lines that programs wait for: on stdout at every log level. */
export const announce = (server: RunningServer): void => {
  const key = keyLine(server.installationKey)
  if (key !== null) process.stdout.write(`${JSON.stringify(key)}\n`)
  process.stdout.write(`${JSON.stringify({ msg: 'listening', url: server.url })}\n`)
  writeCompiled()
}

const keyLine = (key: InstallationKey): object | null => {
  switch (key.kind) {
    case 'made':
      return key.file === null
        ? { msg: 'first start: the installation key is the one of STREAMSPACE_ADMIN_KEY' }
        : { msg: 'first start: this is the installation key, shown once', adminKey: key.key, file: key.file }
    case 'ignored':
      return {
        msg: 'warning: STREAMSPACE_ADMIN_KEY is ignored, this database has another installation key; `streamspace admin-key reset` makes a new one',
      }
    case 'present':
      return null
  }
}
