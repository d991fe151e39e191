/**
 * Whether sessions of another org may come here. The engine keeps the networks of orgs apart, but not their ways to the
 * host: by its userland proxy a container reaches what is published on any address of the host but loopback, other
 * orgs' ports too. (`"userland-proxy": false` in the engine's own settings ends that; it tells nobody how it is set.)
 */
import type { Applied } from '../runtime/platform.ts'
import type { Session, Surroundings } from './session.ts'

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

export const refuseAnotherOrg = (around: Surroundings, session: Session | null, orgId: string): Applied | null => {
  const { publishAddress, allowShared } = around.settings
  if (isLoopback(publishAddress) || allowShared === true) return null
  const others = [...around.sessions.values()].some((other) => other !== session && other.orgId !== orgId)
  if (!others) return null
  const message =
    `this agent publishes ports on ${publishAddress} and holds sessions of another org already: through the engine's ` +
    'userland proxy they could reach each other. Publish on 127.0.0.1, use an agent for each org, or set ' +
    '"userland-proxy": false for the engine and then STREAMSPACE_ALLOW_SHARED_DOCKER_AGENT=true for the agent'
  return {
    kind: 'failed',
    code: 'rejected',
    message,
    retryable: false,
    observed: { status: 'failed', reason: 'rejected', message },
  }
}
