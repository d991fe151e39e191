/**
 * From where a request comes. What a proxy says of that (`X-Forwarded-For`) is believed of those proxies alone that a setting names:
 * anybody else could write anything.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** `10.0.0.0/8` is of family `ipv4` and has 8 bits. */
export type Network = { readonly address: string; readonly family: 'ipv4' | 'ipv6'; readonly bits: number }

export type AddressOf = (request: IncomingMessage) => string

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
/** IPv4 in IPv6, as a socket that listens for both tells it. */
const plain = (address: string): string => MAPPED.exec(address)?.[1] ?? address

/** More hops than anybody has are somebody's attempt to keep us busy. */
const MOST_HOPS = 20

export const createAddressOf = (trusted: readonly Network[]): AddressOf => {
  const proxies = new BlockList()
  for (const { address, bits, family } of trusted) proxies.addSubnet(address, bits, family)
  const isProxy = (address: string): boolean => proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (request) => {
    let address = plain(request.socket.remoteAddress ?? '')
    const forwarded = request.headers['x-forwarded-for']
    if (trusted.length === 0 || typeof forwarded !== 'string') return address
    // From the nearest on: each was written by the one before, and counts only where that one is trusted.
    const hops = forwarded.split(',').slice(-MOST_HOPS)
    for (let next = hops.pop(); next !== undefined && isProxy(address); next = hops.pop()) {
      const hop = plain(
        next
          .trim()
          .replace(/^\[(.*)\](?::\d+)?$/, '$1')
          .replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1'),
      )
      if (isIP(hop) === 0) break
      address = hop
    }
    return address
  }
}
