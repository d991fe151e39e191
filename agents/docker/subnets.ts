/** Addresses for the networks of orgs: small ones, from a range of ours. The engine's own would be used up by thirty. */
import { readFile } from 'node:fs/promises'

export type Pool = { readonly address: number; readonly prefix: number }

const NETWORK_PREFIX = 24
/** All addresses but the network's own, its broadcast and its gateway. */
export const SESSIONS_PER_ORG = 2 ** (32 - NETWORK_PREFIX) - 3

const toNumber = (text: string): number | null => {
  const parts = text.split('.').map(Number)
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return null
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}

const toText = (address: number): string =>
  [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.')

export const parsePool = (text: string): Pool | undefined => {
  const [, address = '', prefix = ''] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? []
  const number = toNumber(address)
  const bits = Number(prefix)
  if (number === null || prefix === '' || bits < 8 || bits > NETWORK_PREFIX || number % 2 ** (32 - bits) !== 0)
    return undefined
  return { address: number, prefix: bits }
}

/**
 * Where this machine sends packets already: a VPN, another engine's networks. proc(5), /proc/net/route: hexadecimal, in the
 * byte order of the machine. Nothing where there is no such file, or the engine is another machine.
 */
export const localRoutes = async (path = '/proc/net/route'): Promise<readonly string[]> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination = '', , , , , , mask = ''] = line.split('\t')
      const [address, bits] = [destination, mask].map((hex) => Buffer.from(hex, 'hex').reverse())
      // The default route overlaps with everything.
      if (address?.length !== 4 || bits?.length !== 4 || bits.readUInt32BE() === 0) return []
      const prefix = 32 - Math.log2(2 ** 32 - bits.readUInt32BE())
      return `${[...address].join('.')}/${Math.round(prefix)}`
    })
}

type Range = { readonly first: number; readonly last: number }

const rangeOf = (subnet: string): Range | null => {
  const [address = '', prefix = ''] = subnet.split('/')
  const number = toNumber(address)
  if (number === null || prefix === '') return null
  const size = 2 ** (32 - Number(prefix))
  const first = number - (number % size)
  return { first, last: first + size - 1 }
}

/** Those of the pool that overlap with none of `taken` (CIDR; others than IPv4 are ignored), in order. */
export function* freeSubnets(pool: Pool, taken: readonly string[]): Generator<string> {
  const ranges = taken.flatMap((subnet) => rangeOf(subnet) ?? [])
  const size = 2 ** (32 - NETWORK_PREFIX)
  for (let first = pool.address; first < pool.address + 2 ** (32 - pool.prefix); first += size)
    if (!ranges.some((range) => first <= range.last && first + size - 1 >= range.first))
      yield `${toText(first)}/${NETWORK_PREFIX}`
}
