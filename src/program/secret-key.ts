import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { ensurePrivateFile, readPrivateFile } from './private-file.ts'

/** STREAMSPACE_SECRET_KEY, or the one that the first start made and kept in the data directory. */
export const secretKeyOf = async (settings: {
  readonly secretKey: string | null
  readonly dataDir: string
}): Promise<string> => {
  if (settings.secretKey !== null) return settings.secretKey
  const file = join(settings.dataDir, 'secret-key')
  const kept = await readPrivateFile(file)
  if (kept !== null && kept !== '') return kept
  return ensurePrivateFile(file, randomBytes(32).toString('base64url'))
}
