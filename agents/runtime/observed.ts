/** What is shown of a session, in the words that all platforms share. */
import type { WireEndpoint, WireObserved, WireSpec } from '../protocol.ts'
import { type Exit, exitFields } from './exit.ts'
import type { Applied } from './platform.ts'

const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** `port`: where a port of the spec is reached, by its name; one that is not known yet is left out. The first is the session's. */
export const endpointOf = (
  spec: WireSpec,
  {
    host,
    port,
    accessToken,
  }: { readonly host: string; readonly port: (name: string) => number | undefined; readonly accessToken: string },
): WireEndpoint | null => {
  const ports = (spec.ports ?? []).flatMap(({ name, protocol = 'tcp' }) => {
    const number = port(name)
    if (number === undefined) return []
    const base = `${protocol}://${inUrl(host)}:${number}`
    return [{ name, url: protocol === 'http' ? `${base}/?token=${accessToken}` : base, port: number, protocol }]
  })
  const [first] = ports
  return first === undefined ? null : { url: first.url, host, port: first.port, protocol: first.protocol, ports }
}

const nothingAmiss = { exitCode: null, exitSignal: null, lastOutput: null } as const

export const running = (endpoint: WireEndpoint | null, restarts: number): WireObserved => ({
  status: 'running',
  reason: null,
  message: null,
  ...nothingAmiss,
  endpoint,
  restarts,
})

export const starting = (restarts: number, reason: string, message: string): WireObserved => ({
  status: 'starting',
  reason,
  message,
  endpoint: null,
  restarts,
})

/** `output` is shown of what failed only. */
export const over = (
  restarts: number,
  how: { readonly status: 'stopped' | 'failed'; readonly reason: string; readonly message: string },
  exit: Exit | null,
  output: string | null,
): WireObserved => ({
  ...how,
  ...nothingAmiss,
  ...(exit === null ? {} : exitFields(exit)),
  endpoint: null,
  restarts,
  lastOutput: how.status === 'failed' ? output : null,
})

/** At rest because it was asked to be. */
export const resting = (restarts: number, status: 'stopped' | 'hibernated'): WireObserved => ({
  status,
  reason: 'by_request',
  message: null,
  ...nothingAmiss,
  endpoint: null,
  restarts,
})

/** What a start that is over answers: it runs, or has ended well, or has failed for good. */
export const settledAs = (observed: WireObserved): Applied =>
  observed.status === 'failed'
    ? {
        kind: 'failed',
        code: observed.reason ?? 'exited_early',
        message: observed.message ?? 'the session failed',
        retryable: false,
        observed,
      }
    : { kind: 'applied', observed }

export const LAST_OUTPUT_BYTES = 4_096

/** The end of a session's output, for people: begins at a whole character, has no NUL, and is well-formed. */
export const presentable = (bytes: Buffer): string | null => {
  let start = 0
  if (bytes.length === LAST_OUTPUT_BYTES) while (start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1
  const text = bytes.subarray(start).toString('utf8').replaceAll('\u0000', '')
  return text.trim() === '' ? null : text
}
