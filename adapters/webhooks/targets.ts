/**
 * Where webhooks may be sent. Whoever makes one chooses an address that the server then connects to, from inside of its own network:
 * so what is private, loopback, link-local (metadata services of clouds among them) or not of the public internet for another
 * reason is refused, unless a setting allows it. The address that is judged is the one that is connected to: names are resolved
 * here, and the connection is made to what was judged, so that a name that answers differently the next time gains nothing.
 */
import { type LookupAddress, lookup as ofThisMachine } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { AllowedTargets } from '../../domain/ports/webhooks.ts'

const RULE = 'webhooks are sent to public ones, unless STREAMSPACE_WEBHOOK_ALLOW_PRIVATE of the server allows others'

/** The URL itself says where it leads: an address, or a name of private networks. */
export class TargetRefusedError extends Error {
  constructor() {
    super(`the address is private or reserved: ${RULE}`)
    this.name = 'TargetRefusedError'
  }
}

/**
 * A name that leads nowhere, or to what must not be connected to. Which of the two is said to nobody: they could ask for one name after
 * another, and know which there are in the network of this server.
 */
export class NameRefusedError extends Error {
  constructor() {
    super(`the name of the host is not known, or its address is private or reserved: ${RULE}`)
    this.name = 'NameRefusedError'
  }
}

type Address = ReturnType<typeof ipaddr.process>
type Network = ReturnType<typeof ipaddr.parseCIDR>

/** All that is routed on the public internet is in here (RFC 4291, section 2.4): what older texts leave open is not. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3')

/** Public by its number; on every machine of Azure it is the platform's own, for that machine alone. */
const AZURE_PLATFORM = '168.63.129.16'

const isPublic = (address: Address): boolean =>
  address.toString() !== AZURE_PLATFORM &&
  address.range() === 'unicast' &&
  (address.kind() === 'ipv4' || matches(address, GLOBAL_UNICAST))

const matches = (address: Address, [network, bits]: Network): boolean =>
  address.kind() === network.kind() && address.match(network as never, bits)

/** What names end with that the public DNS does not have: RFC 6761, 6762 (with its appendix G), 8375, and ICANN's `internal`. */
const PRIVATE_NAMES = /\.(localhost|local|internal|intranet|private|corp|home|lan|home\.arpa)$/

/** Names of one label are not in the public DNS either. */
const isPublicName = (name: string): boolean => {
  const withoutRoot = name.replace(/\.$/, '')
  return withoutRoot.includes('.') && !PRIVATE_NAMES.test(withoutRoot)
}

export type Targets = {
  readonly mayConnectTo: (address: string) => boolean
  /** By what the name itself says, in lower case. Which networks a name leads to shows where it is connected to. */
  readonly mayBeNamed: (name: string) => boolean
  /** For `node:net`: resolves a name. Fails with `NameRefusedError` alone, also when any of its addresses is refused. */
  readonly lookup: LookupFunction
}

/** Of a name server that does not answer. */
const ANSWERS_WITHIN_MS = 2_000
const GIVEN_UP = new Set(['ETIMEOUT', 'ECANCELLED'])

/**
 * By questions to name servers, which cost a socket each. What the machine itself resolves with (getaddrinfo: the hosts file, search
 * domains) takes one of the few threads that all of the process shares for as long as a name server is silent, and whoever makes
 * webhooks chooses the name server: it is asked only for what name servers have answered that they do not know.
 */
const resolve = async (hostname: string): Promise<LookupAddress[]> => {
  const names = new Resolver({ timeout: ANSWERS_WITHIN_MS, tries: 2 })
  const [four, six] = await Promise.allSettled([names.resolve4(hostname), names.resolve6(hostname)])
  const found = [
    ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
    ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
  ]
  if (found.length > 0) return found
  for (const answer of [four, six])
    if (answer.status === 'rejected' && GIVEN_UP.has(answer.reason.code)) throw answer.reason
  return new Promise((resolved, failed) => {
    ofThisMachine(hostname, { all: true }, (error, addresses) => (error === null ? resolved(addresses) : failed(error)))
  })
}

export const createTargets = (allowed: AllowedTargets): Targets => {
  const networks = allowed === 'all' ? [] : allowed.map((network) => ipaddr.parseCIDR(network))

  const mayConnectTo = (text: string): boolean => {
    if (allowed === 'all') return true
    // An IPv6 address may carry a zone, which is of this machine alone. IPv4 addresses within IPv6 ones are judged as what they are.
    if (isIP(text) === 0 || text.includes('%')) return false
    const address = ipaddr.process(text)
    return isPublic(address) || networks.some((network) => matches(address, network))
  }

  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        if (!addresses.every(({ address }) => mayConnectTo(address))) return callback(new NameRefusedError(), '', 0)
        if (options.all === true) return callback(null, addresses)
        const [first] = addresses
        callback(null, first?.address ?? '', first?.family ?? 0)
      },
      () => callback(new NameRefusedError(), '', 0),
    )
  }

  /** Where some private networks are allowed, their names are. */
  const mayBeNamed = (name: string): boolean => allowed === 'all' || networks.length > 0 || isPublicName(name)

  return { mayConnectTo, mayBeNamed, lookup }
}

/** The name or address that a URL's host is, without the brackets of IPv6. Odd spellings of IPv4 the URL has made plain. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')
