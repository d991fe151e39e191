import ipaddr from 'ipaddr.js'
import type { AllowedTargets } from '../../domain/ports/webhooks.ts'
import type { reader } from './setting-reader.ts'

export type WebhookSettings = {
  readonly allowPrivate: AllowedTargets
  readonly timeoutMs: number
  readonly attempts: number
  readonly firstDelaySeconds: number
  /** So many an org may have, disabled ones too. */
  readonly perOrg: number
}

/** `true`: anything; else networks. */
const allowedIn = (text: string): AllowedTargets | null => {
  if (text === 'true') return 'all'
  if (text === 'false') return []
  const networks = text.split(',').map((network) => network.trim())
  return networks.every((network) => ipaddr.isValidCIDR(network)) ? networks : null
}

export const webhookSettings = (read: ReturnType<typeof reader>): WebhookSettings => ({
  allowPrivate: read.checked<AllowedTargets>(
    'STREAMSPACE_WEBHOOK_ALLOW_PRIVATE',
    [],
    allowedIn,
    'must be true, false, or networks such as 10.0.0.0/8,fd00::/8',
  ),
  timeoutMs: read.integer('STREAMSPACE_WEBHOOK_TIMEOUT_MS', 10_000, 100, 30_000),
  attempts: read.integer('STREAMSPACE_WEBHOOK_ATTEMPTS', 15, 1, 100),
  firstDelaySeconds: read.integer('STREAMSPACE_WEBHOOK_RETRY_SECONDS', 5, 1, 3_600),
  perOrg: read.integer('STREAMSPACE_WEBHOOK_LIMIT_PER_ORG', 100, 1, 10_000),
})
