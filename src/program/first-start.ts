/**
 * What an empty database needs before it can serve: the org `default`, the installation key, the public
 * templates that ship. Safe at every start and from several replicas at once; a crash anywhere in between is
 * mended by the next start.
 */
import { join } from 'node:path'
import type { ApiKeyId, OrgId, UserId } from '../../domain/ids.ts'
import type { AccessStore, ApiKeyRecord } from '../../domain/ports/access.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import { API_KEY, KEY_PREFIX_LENGTH, type Tokens } from '../../domain/ports/tokens.ts'
import type { TemplateDocument } from '../../domain/template/template-codec.ts'
import { ensurePrivateFile, readPrivateFile, writePrivateFile } from './private-file.ts'

export const DEFAULT_ORG = 'default' as OrgId

export type FirstStartDeps = {
  readonly access: AccessStore
  readonly templates: TemplateStore
  readonly tokens: Tokens
  readonly ids: Ids
}

export const adminKeyFile = (dataDir: string): string => join(dataDir, 'admin-key')

export type InstallationKey =
  | { readonly kind: 'made'; readonly key: string; readonly file: string | null }
  | { readonly kind: 'present' }
  /** STREAMSPACE_ADMIN_KEY names another key than the database has. */
  | { readonly kind: 'ignored' }

export const installationKeyRecord = (deps: Pick<FirstStartDeps, 'tokens' | 'ids'>, key: string): ApiKeyRecord => ({
  id: deps.ids.apiKey() as ApiKeyId,
  orgId: DEFAULT_ORG,
  userId: 'admin' as UserId,
  role: 'installation',
  name: 'installation',
  prefix: key.slice(0, KEY_PREFIX_LENGTH),
  hash: deps.tokens.hash(key),
  expiresAt: null,
  revokedAt: null,
})

export const ensureInstallationKey = async (
  deps: FirstStartDeps,
  settings: { readonly adminKey: string | null; readonly dataDir: string },
): Promise<InstallationKey> => {
  const file = adminKeyFile(settings.dataDir)
  if (settings.adminKey !== null) {
    const made = await deps.access.addKey(installationKeyRecord(deps, settings.adminKey), 'no_installation_key')
    if (made) return { kind: 'made', key: settings.adminKey, file: null }
    const known = await deps.access.keysByPrefix([settings.adminKey.slice(0, KEY_PREFIX_LENGTH)])
    const { adminKey } = settings
    return { kind: known.some((record) => deps.tokens.matches(adminKey, record.hash)) ? 'present' : 'ignored' }
  }
  if (await deps.access.hasInstallationKey()) return { kind: 'present' }
  // The file first: a crash after it leaves a key that the next start finds there and registers.
  const kept = await readPrivateFile(file)
  const usable = kept !== null && API_KEY.test(kept)
  if (kept !== null && !usable) await writePrivateFile(file, deps.tokens.apiKey())
  const key = usable ? kept : await ensurePrivateFile(file, deps.tokens.apiKey())
  const made = await deps.access.addKey(installationKeyRecord(deps, key), 'no_installation_key')
  return made ? { kind: 'made', key, file } : { kind: 'present' }
}

/** New content of a shipped template becomes its next version; what an operator archived stays archived. */
export const ensureCatalogue = async (
  deps: Pick<FirstStartDeps, 'templates'>,
  catalogue: readonly TemplateDocument[],
): Promise<void> => {
  for (const document of catalogue)
    if (!(await deps.templates.isArchived(null, document.name))) await deps.templates.put(null, document)
}
