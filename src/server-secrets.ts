/** What a server replica seals, signs and recognises with: all of it comes from `STREAMSPACE_SECRET_KEY`. */
import type { Logger } from 'pino'
import { createIdempotency, type Idempotency, WAIT_FOR_FIRST_MS } from '../adapters/http/idempotency.ts'
import { type Cursors, createCursors } from '../adapters/postgres/cursor.ts'
import { createIdempotencyStore } from '../adapters/postgres/idempotency.ts'
import { createSecretKeyStore } from '../adapters/postgres/secret-keys.ts'
import { createFeedTokens } from '../adapters/secrets/feed-tokens.ts'
import { secretKeySettings } from '../adapters/secrets/keyring.ts'
import { createSealer, createTextSealer, deriveKey, WEBHOOK_SECRETS } from '../adapters/secrets/sealer.ts'
import type { Duty } from '../domain/ports/jobs.ts'
import type { SecretKeyStore } from '../domain/ports/secret-keys.ts'
import { UnknownSecretKeyError } from './program/secret-keyring.ts'
import type { ServerDatabases } from './server-databases.ts'
import { reseal } from './usecases/reseal.ts'

export type ServerSecrets = {
  /** Of sessions. */
  readonly sealer: ReturnType<typeof createSealer>
  readonly webhookSecrets: ReturnType<typeof createTextSealer>
  readonly cursors: Cursors
  readonly feedTokens: ReturnType<typeof createFeedTokens>
  readonly idempotency: Idempotency
  readonly duties: readonly Duty[]
}

/** Rejects with an `UnknownSecretKeyError` when the database was sealed under another key. */
export const openSecrets = async (
  { own, callers, forCreations }: Pick<ServerDatabases, 'own' | 'callers' | 'forCreations'>,
  settings: { readonly secretKey: string; readonly previousSecretKeys: readonly string[] },
  log: Logger,
): Promise<ServerSecrets> => {
  const keyring = { current: settings.secretKey, previous: settings.previousSecretKeys }
  const keys = createSecretKeyStore(own, secretKeySettings(keyring))
  const previousFor = (what: string) => keyring.previous.map((key) => deriveKey(key, what))
  const answers = createIdempotencyStore(callers)
  const sealsAsAll = await isCurrent(keys, log)
  return {
    sealer: createSealer(keyring),
    webhookSecrets: createTextSealer(keyring, WEBHOOK_SECRETS),
    cursors: createCursors(deriveKey(keyring.current, 'cursors'), previousFor('cursors')),
    feedTokens: createFeedTokens(deriveKey(keyring.current, 'feed'), previousFor('feed')),
    idempotency: createIdempotency(
      { ...answers, findGathered: forCreations(answers.find) },
      deriveKey(keyring.current, 'idempotency'),
      WAIT_FOR_FIRST_MS,
      previousFor('idempotency'),
    ),
    // One that is behind would undo what the others do.
    duties: sealsAsAll
      ? [
          reseal({
            keys,
            hasPrevious: keyring.previous.length > 0,
            elapsed: () => performance.now(),
            told: (what, fields) => log.warn(fields, what),
          }),
        ]
      : [],
  }
}

/** What others seal has to be opened here, and the other way round. */
const isCurrent = async (keys: SecretKeyStore, log: Logger): Promise<boolean> => {
  const standing = await keys.introduce()
  if (standing === 'unknown') throw new UnknownSecretKeyError()
  if (standing === 'behind')
    log.warn(
      'STREAMSPACE_SECRET_KEY has been replaced: this server still seals under the one before. Give it the new one',
    )
  return standing === 'current'
}
