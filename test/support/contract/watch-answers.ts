/**
 * Holds every answer of an HTTP server of this process against the OpenAPI document. Loaded into the test run itself, and with
 * `--import` into the servers that tests start, of which nothing knows that it is there: Node tells of every response on
 * a channel of its own. What is wrong is appended to the file of STREAMSPACE_TEST_CONTRACT; the test that is running fails
 * (`every-answer.ts`).
 */
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { Contract, Document, Said } from './contract.ts'

const file = process.env.STREAMSPACE_TEST_CONTRACT

/** Loaded with the first answer: most processes never give one. */
let loading: Promise<Contract> | undefined
const contract = (): Promise<Contract> => {
  loading ??= Promise.all([
    import('./contract.ts'),
    import('../../../src/api/openapi.ts'),
    import('../../../src/version.ts'),
  ]).then(([{ createContract }, { openApiDocument }, { version }]) =>
    createContract(openApiDocument(version) as unknown as Document),
  )
  return loading
}

const waiting: Said[] = []
let judging: Promise<void> | undefined

/** Judged behind the answer, not before it: nobody waits for this. */
const judge = async (): Promise<void> => {
  const { check } = await contract()
  for (let said = waiting.shift(); said !== undefined; said = waiting.shift()) {
    const complaints = check(said)
    if (complaints.length > 0 && file !== undefined)
      appendFileSync(file, `${JSON.stringify({ ...said, complaints, body: said.body?.slice(0, 2_000) })}\n`)
  }
}

/** Until all that was answered so far has been looked at. */
export const allJudged = async (): Promise<void> => {
  while (judging !== undefined) await judging
}

/** Many things in a test run listen to HTTP; what is ours says who asked. */
const isOurs = (headers: Said['headers']): boolean => headers['x-request-id'] !== undefined

const watch = (request: IncomingMessage, response: ServerResponse): void => {
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
    if (isStream(headers)) judged({ ...asked(), status, headers, body: null })
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
      judged({
        ...asked(),
        status: response.statusCode,
        headers,
        body: size <= MOST_KEPT ? plain(Buffer.concat(chunks), headers['content-encoding']) : null,
      })
  })
}

const isStream = (headers: Said['headers']): boolean =>
  headers['content-type']?.startsWith('text/event-stream') === true

const judged = (said: Said): void => {
  if (!isOurs(said.headers)) return
  waiting.push(said)
  judging ??= judge().finally(() => {
    judging = undefined
  })
}

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

if (file !== undefined)
  subscribe('http.server.response.created', (message) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
    watch(request, response)
  })
