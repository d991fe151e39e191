/** `streamspace secret-key reseal`: what the servers do by themselves within minutes, at once and with an answer. */
import { openDatabase } from '../adapters/postgres/pool.ts'
import { createSecretKeyStore } from '../adapters/postgres/secret-keys.ts'
import { secretKeySettings } from '../adapters/secrets/keyring.ts'
import { withoutPassword } from '../domain/ports/database-url.ts'
import { ExitError } from './program/exit-error.ts'
import { secretKeyOf } from './program/secret-key.ts'
import { UnknownSecretKeyError } from './program/secret-keyring.ts'
import { databaseSettings, secretKeys } from './program/settings.ts'

export const runSecretKeyReseal = async (): Promise<void> => {
  const { url } = databaseSettings(process.env)
  const settings = secretKeys(process.env)
  const keyring = { current: await secretKeyOf(settings), previous: settings.previousSecretKeys }
  const database = openDatabase({ url, maxConnections: 2 })
  try {
    const keys = createSecretKeyStore(database, secretKeySettings(keyring))
    const standing = await keys.introduce()
    if (standing === 'unknown') throw new ExitError(1, new UnknownSecretKeyError().message)
    if (standing === 'behind')
      throw new ExitError(1, 'the secrets are sealed under a newer key than this STREAMSPACE_SECRET_KEY: set that one')
    const { resealed, unreadable } = await keys.reseal()
    if (unreadable > 0)
      throw new ExitError(
        1,
        `${resealed} sealed anew, ${unreadable} cannot be opened: give the key that they were sealed under in STREAMSPACE_SECRET_KEY_PREVIOUS`,
      )
    process.stdout.write(`${resealed} sealed anew: all secrets are sealed under STREAMSPACE_SECRET_KEY\n`)
  } catch (error) {
    if (error instanceof ExitError) throw error
    throw new ExitError(1, `${withoutPassword(url)}: ${(error as Error).message || (error as { code?: string }).code}`)
  } finally {
    await database.close()
  }
}
