/**
 * The address of a PostgreSQL, as libpq writes it: `postgres://user:password@host:port,host:port/database?…`.
 * Several hosts are one database with standbys, of which the writable one is meant. Only what the address says is here;
 * which host takes writes at this moment is found by the adapter.
 */

const PARTS = /^(postgres(?:ql)?:\/\/)([^/?#]*@)?([^/?#@]*)([/?#].*)?$/i
/** A name or an address of version 4, or one of version 6 in brackets; then a port. Nothing at all is the default. */
const HOST = /^(?:\[[0-9a-f:.%]+\]|[^\s:[\]]*)(?::(\d{1,5}))?$/i
/** What libpq may be told to look for. Here it is always the host that takes writes. */
const WANTED = ['read-write', 'primary', 'any']

/** One address for each host, in the order of their names; null when it is none. */
export const addressesOf = (url: string): readonly string[] | null => {
  const parts = PARTS.exec(url.trim())
  if (parts === null) return null
  const [, scheme = '', account = '', hosts = '', rest = ''] = parts
  const names = hosts.split(',')
  if (!names.every(isHost) || (names.length > 1 && names.includes(''))) return null
  const addresses = names.map((host) => `${scheme}${account}${host}${rest}`)
  return addresses.every(isUrl) ? addresses : null
}

const isHost = (text: string): boolean => {
  const found = HOST.exec(text)
  return found !== null && (found[1] === undefined || (Number(found[1]) > 0 && Number(found[1]) <= 65_535))
}

/** As `pg` reads it: an address without a host names a socket in its query. */
const isUrl = (address: string): boolean => URL.canParse(address) || URL.canParse(address.replace('@/', '@socket/'))

/** What it asks for that cannot be had, in words; null when all is well. */
export const unfitTarget = (url: string): string | null => {
  const wanted = /[?&]target_session_attrs=([^&#]*)/.exec(url)?.[1]
  return wanted === undefined || WANTED.includes(wanted) ? null : wanted
}

/** For people and logs. */
export const withoutPassword = (url: string): string =>
  url.replace(/^([a-z]+:\/\/[^:/?#]*):[^/?#]*@/i, '$1:***@').replace(/([?&](?:password|sslpassword)=)[^&#]*/gi, '$1***')
