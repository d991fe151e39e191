/** Which server, and as whom: STREAMSPACE_URL, STREAMSPACE_API_KEY, STREAMSPACE_ORG. */
import type { Client } from '../client/client.ts'
import { ExitError } from '../program/exit-error.ts'
import { adminKeyFile } from '../program/first-start.ts'
import { readPrivateFile } from '../program/private-file.ts'
import type { Environment } from '../program/setting-reader.ts'
import { dataDir } from '../program/settings.ts'
import { version } from '../version.ts'

export const DEFAULT_URL = 'http://127.0.0.1:8080'

export type KeySource =
  | { readonly kind: 'environment' }
  | { readonly kind: 'file'; readonly path: string }
  /** `unreadable`: there is a file with one, which this user may not read. */
  | { readonly kind: 'none'; readonly unreadable: string | null }

export type Connection = {
  readonly url: string
  /** Whether STREAMSPACE_URL says so; otherwise it is the default. */
  readonly urlIsSet: boolean
  /** STREAMSPACE_ORG: in which org an installation key acts. */
  readonly org?: string
  readonly key: string | null
  readonly keySource: KeySource
}

export const connectionOf = async (environment: Environment): Promise<Connection> => {
  const given = environment.STREAMSPACE_URL?.trim()
  const url = serverUrl(given || DEFAULT_URL)
  const org = environment.STREAMSPACE_ORG?.trim()
  return { url, urlIsSet: Boolean(given), ...(org ? { org } : {}), ...(await keyOf(environment, url)) }
}

/** Agents may be told `ws:`; it is the same server. */
export const serverUrl = (text: string): string => {
  const url = URL.parse(text.replace(/^ws(?=s?:)/i, 'http'))
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new ExitError(
      2,
      `STREAMSPACE_URL must be a URL that begins with http:// or https://, such as ${DEFAULT_URL}; it is ${text}`,
    )
  if (url.username !== '' || url.password !== '')
    throw new ExitError(2, 'STREAMSPACE_URL must not have a user name or password in it: set STREAMSPACE_API_KEY')
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

const keyOf = async (environment: Environment, url: string): Promise<Pick<Connection, 'key' | 'keySource'>> => {
  const given = environment.STREAMSPACE_API_KEY?.trim()
  if (given) {
    if (!/^[\x21-\x7e]+$/.test(given))
      throw new ExitError(2, 'STREAMSPACE_API_KEY must be one word of printable ASCII characters')
    return { key: given, keySource: { kind: 'environment' } }
  }
  const path = adminKeyFile(dataDir(environment))
  // The key of this machine's server is nobody else's business: it is sent to this machine only.
  if (!isLoopback(new URL(url).hostname)) return { key: null, keySource: { kind: 'none', unreadable: null } }
  try {
    const key = await readPrivateFile(path)
    if (key !== null && /^[\x21-\x7e]+$/.test(key)) return { key, keySource: { kind: 'file', path } }
    return { key: null, keySource: { kind: 'none', unreadable: null } }
  } catch {
    return { key: null, keySource: { kind: 'none', unreadable: path } }
  }
}

export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  /^127(\.\d+){3}$/.test(hostname)

/** Loaded only by commands that talk to a server. */
export const clientFor = async ({ url, key, org: usual }: Connection, org = usual): Promise<Client> => {
  const { createClient } = await import('../client/client.ts')
  return createClient({
    url,
    apiKey: key,
    userAgent: `streamspace/${version}`,
    ...(org === undefined ? {} : { org }),
  })
}
