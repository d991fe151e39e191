/** All that is sealed in the database, and under which of the installation's secrets. */
import { createTextSealer, type Keyring, keyIdOf, SESSION_SECRETS, sealedPrefixOf, WEBHOOK_SECRETS } from './sealer.ts'

export const secretKeySettings = (keyring: Keyring) => ({
  keyId: keyIdOf(keyring.current),
  previousKeyIds: keyring.previous.map(keyIdOf),
  prefix: sealedPrefixOf(keyring.current),
  sealed: {
    sessions: createTextSealer(keyring, SESSION_SECRETS),
    webhooks: createTextSealer(keyring, WEBHOOK_SECRETS),
  },
})
