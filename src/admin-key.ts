/** `streamspace admin-key reset`: for someone with database rights who lost the installation key. */
import { createAccessStore } from '../adapters/postgres/access.ts'
import { openDatabase } from '../adapters/postgres/pool.ts'
import { createIds } from '../adapters/secrets/ids.ts'
import { tokens } from '../adapters/secrets/tokens.ts'
import { withoutPassword } from '../domain/ports/database-url.ts'
import { ExitError } from './program/exit-error.ts'
import { installationKeyRecord } from './program/first-start.ts'
import { databaseSettings } from './program/settings.ts'

export const runAdminKeyReset = async (): Promise<void> => {
  const { url } = databaseSettings(process.env)
  const database = openDatabase({ url, maxConnections: 1 })
  try {
    const access = createAccessStore(database)
    const key = tokens.apiKey()
    // The old keys first: a crash in between leaves none, and this command makes one again.
    await access.revokeInstallationKeys()
    await access.addKey(installationKeyRecord({ tokens, ids: createIds() }, key), 'always')
    process.stdout.write(`${key}\n`)
    process.stderr.write('this is the new installation key, shown once; earlier ones no longer work\n')
  } catch (error) {
    throw new ExitError(1, `${withoutPassword(url)}: ${(error as Error).message || (error as { code?: string }).code}`)
  } finally {
    await database.close()
  }
}
