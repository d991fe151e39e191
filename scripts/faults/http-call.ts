/** One request of a client of a fault run, over a connection of its own: whatever happens to it happens to it alone. */
import { request } from 'node:http'

export type Outcome =
  // biome-ignore lint/suspicious/noExplicitAny: the body is what the API says it is
  | { readonly kind: 'answered'; readonly status: number; readonly body: any; readonly retryAfterMs: number | null }
  /** No whole answer came: whether it was done is not known. */
  | { readonly kind: 'unknown' }

export type Request = {
  readonly base: string
  readonly key: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly withinMs: number
}

export const callOnce = ({ base, key, method, path, body, withinMs }: Request): Promise<Outcome> =>
  new Promise((resolve) => {
    const text = body === undefined ? null : JSON.stringify(body)
    const unknown = (): void => resolve({ kind: 'unknown' })
    const sent = request(
      `${base}/api/v1${path}`,
      {
        method,
        agent: false,
        signal: AbortSignal.timeout(withinMs),
        headers: {
          authorization: `Bearer ${key}`,
          ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', unknown)
        response.on('close', unknown) // after `end` it changes nothing
        response.on('end', () => {
          const retryAfter = Number(response.headers['retry-after'])
          try {
            const said = Buffer.concat(chunks).toString('utf8')
            resolve({
              kind: 'answered',
              status: response.statusCode ?? 0,
              body: said === '' ? null : JSON.parse(said),
              retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1_000 : null,
            })
          } catch {
            unknown()
          }
        })
      },
    )
    sent.on('error', unknown)
    sent.end(text ?? undefined)
  })
