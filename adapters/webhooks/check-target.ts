/** The judgement on an address when a webhook is made; the one that counts is made at each connection (`targets.ts`). */

import { isIP } from 'node:net'
import { promisify } from 'node:util'
import type { CheckTarget } from '../../domain/ports/webhooks.ts'
import { hostOf, TargetRefusedError, type Targets } from './targets.ts'

/** Somebody waits for the answer. A name that takes longer is looked up again when something is sent. */
const RESOLVE_WITHIN_MS = 2_000

export const createCheckTarget = ({ mayConnectTo, lookup }: Targets): CheckTarget => {
  const resolved = promisify(lookup)
  return async (url) => {
    const host = hostOf(new URL(url))
    if (isIP(host) !== 0) return mayConnectTo(host) ? null : new TargetRefusedError().message
    const refused = resolved(host, { all: true }).then(
      () => null,
      (error: unknown) => (error instanceof TargetRefusedError ? error.message : null),
    )
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>((answer) => {
      timer = setTimeout(() => answer(null), RESOLVE_WITHIN_MS)
    })
    return Promise.race([refused, late]).finally(() => clearTimeout(timer))
  }
}
