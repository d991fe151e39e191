/**
 * The judgement on an address when a webhook is made or changed; the one that counts is made at each connection (`targets.ts`). It
 * knows no more than the URL says: a name is not looked up, or else whoever makes webhooks could ask which names there are in the
 * network of this server.
 */
import { isIP } from 'node:net'
import type { CheckTarget } from '../../domain/ports/webhooks.ts'
import { hostOf, TargetRefusedError, type Targets } from './targets.ts'

export const createCheckTarget =
  ({ mayConnectTo, mayBeNamed }: Targets): CheckTarget =>
  (url) => {
    const host = hostOf(new URL(url))
    const may = isIP(host) === 0 ? mayBeNamed(host) : mayConnectTo(host)
    return may ? null : new TargetRefusedError().message
  }
