/** Tells of every answer of an HTTP server of this process: Node tells of every response on a channel of its own. */
import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { Said } from './contract.ts'

/** Many things in a test run listen to HTTP; what is ours says who asked. */
const isOurs = (headers: Said['headers']): boolean => headers['x-request-id'] !== undefined

const watch = (request: IncomingMessage, response: ServerResponse, told: (said: Said) => void): void => {
  const tell = (said: Said): void => {
    if (isOurs(said.headers)) told(said)
  }
  const chunks: Buffer[] = []
  let size = 0
  const headers: Record<string, string> = {}
  const note = (more: OutgoingHttpHeaders | undefined): void => {
    for (const [name, value] of Object.entries(more ?? {}))
      if (value !== undefined) headers[name.toLowerCase()] = String(value)
  }
  const keep = (chunk: unknown): void => {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return
    const bytes = Buffer.from(chunk as string)
    size += bytes.length
    if (size <= MOST_KEPT) chunks.push(bytes)
  }
  const { writeHead, write, end } = response
  const asked = () => ({ method: request.method ?? '', url: request.url ?? '' })
  response.writeHead = ((status: number, ...rest: unknown[]) => {
    const given = rest.find((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
    note(response.getHeaders())
    note(given as OutgoingHttpHeaders | undefined)
    if (isStream(headers)) tell({ ...asked(), status, headers, body: null })
    return Reflect.apply(writeHead, response, [status, ...rest])
  }) as typeof writeHead
  response.write = ((chunk: unknown, ...rest: unknown[]) => {
    keep(chunk)
    return Reflect.apply(write, response, [chunk, ...rest])
  }) as typeof write
  response.end = ((chunk: unknown, ...rest: unknown[]) => {
    keep(chunk)
    return Reflect.apply(end, response, [chunk, ...rest])
  }) as typeof end
  response.once('finish', () => {
    note(response.getHeaders())
    // A stream was judged when it began: it may have no end.
    if (!isStream(headers))
      tell({
        ...asked(),
        status: response.statusCode,
        headers,
        body: size <= MOST_KEPT ? plain(Buffer.concat(chunks), headers['content-encoding']) : null,
      })
  })
}

const isStream = (headers: Said['headers']): boolean =>
  headers['content-type']?.startsWith('text/event-stream') === true

/** An export may be longer than memory. */
const MOST_KEPT = 16 * 1_048_576

const plain = (bytes: Buffer, encoding: string | undefined): string | null => {
  try {
    if (encoding === 'gzip') return gunzipSync(bytes).toString('utf8')
    if (encoding === 'br') return brotliDecompressSync(bytes).toString('utf8')
    return bytes.toString('utf8')
  } catch {
    // HEAD says how it would be written, and writes nothing.
    return null
  }
}

/** `told` of each when all of it was said, and of a stream when it begins. Nobody waits for it. */
export const watchAnswers = (told: (said: Said) => void): void =>
  subscribe('http.server.response.created', (message) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
    watch(request, response, told)
  })
