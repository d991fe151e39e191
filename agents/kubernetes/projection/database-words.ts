/**
 * How the database calls what this agent holds: `kubectl get sessions` and the REST API say the same. Follows what
 * the server makes of an agent's reports (domain/session/observe.ts).
 */
import { type SessionStatus, type StatusReason, statusReasons } from '../../../domain/session/words.ts'
import type { Desired, WireObserved } from '../../protocol.ts'

export type Situation = {
  readonly desiredState: Desired['state']
  /** False while what is asked for is being done. */
  readonly settled: boolean
  /** It is being deleted. */
  readonly going: boolean
  readonly observed: WireObserved
}

export type DatabaseStatus = {
  readonly status: SessionStatus
  readonly reason: StatusReason | null
  readonly message: string | null
}

const known = (word: string | null | undefined): StatusReason | null =>
  statusReasons.find((reason) => reason === word) ?? null

export const databaseStatus = ({ desiredState, settled, going, observed }: Situation): DatabaseStatus => {
  const message = observed.message ?? null
  if (going || desiredState === 'deleted') return { status: 'deleting', reason: null, message: null }
  if (!settled) return onTheWay(desiredState, observed)
  const reason = known(observed.reason)
  switch (observed.status) {
    case 'starting':
      return { status: 'scheduling', reason: reason ?? 'starting', message }
    case 'running':
      return { status: 'running', reason: reason === 'restored' ? reason : null, message }
    case 'failed':
      return { status: 'failed', reason: reason ?? failureReason(desiredState, observed), message }
    case 'stopped':
    case 'hibernated':
      return { status: observed.status, reason: reason ?? restReason(desiredState), message }
  }
}

const restReason = (desiredState: Desired['state']): StatusReason =>
  desiredState === 'running' ? 'exited_early' : 'by_request'

const failureReason = (desiredState: Desired['state'], { reason }: WireObserved): StatusReason =>
  desiredState === 'running' && !reason ? 'exited_early' : 'platform_error'

const onTheWay = (
  desiredState: Exclude<Desired['state'], 'deleted'>,
  { status, reason, message }: WireObserved,
): DatabaseStatus => {
  switch (desiredState) {
    case 'stopped':
      return { status: 'stopping', reason: null, message: null }
    case 'hibernated':
      return { status: 'hibernating', reason: null, message: null }
    case 'running':
      // What is said of an earlier generation is no news of this one.
      return status === 'starting'
        ? { status: 'scheduling', reason: known(reason) ?? 'starting', message: message ?? null }
        : { status: 'scheduling', reason: 'starting', message: null }
  }
}
