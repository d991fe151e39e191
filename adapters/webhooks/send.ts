/**
 * One attempt to deliver. Only the status of the answer counts; its body is read no further than to know that there is one, and
 * never shown, so that nobody reads through a webhook what this server can reach and they cannot. Redirects are not followed.
 */
import { type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import type { SendWebhook } from '../../domain/ports/webhooks.ts'
import type { Attempt } from '../../domain/webhook/webhook.ts'
import { signedHeaders } from './sign.ts'
import { hostOf, NameRefusedError, TargetRefusedError, type Targets } from './targets.ts'

export type SendSettings = {
  readonly targets: Targets
  /** For all of it: name, connection, TLS, answer. */
  readonly timeoutMs: number
  readonly userAgent: string
  readonly now: () => Date
}

export const createSendWebhook =
  ({ targets, timeoutMs, userAgent, now }: SendSettings): SendWebhook =>
  async (delivery) => {
    const url = new URL(delivery.url)
    const host = hostOf(url)
    // An address is not looked up, so that nobody else would judge it.
    if (isIP(host) !== 0 && !targets.mayConnectTo(host)) return failed(new TargetRefusedError().message)
    const options: RequestOptions = {
      method: 'POST',
      // A connection of its own: one that is kept may be closed by the receiver in the moment in which it is used.
      agent: false,
      lookup: targets.lookup,
      headers: {
        ...signedHeaders(delivery, Math.floor(now().getTime() / 1000)),
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(delivery.body),
        'user-agent': userAgent,
      },
      maxHeaderSize: 16_384,
    }
    return posted(url, options, delivery.body, timeoutMs)
  }

const posted = (url: URL, options: RequestOptions, body: string, timeoutMs: number): Promise<Attempt> =>
  new Promise((resolve) => {
    const request = url.protocol === 'https:' ? requestHttps(url, options) : requestHttp(url, options)
    const done = (attempt: Attempt): void => {
      clearTimeout(timer)
      resolve(attempt)
      request.destroy()
    }
    const tooLate = (): void => done(failed(`no answer within ${timeoutMs} ms`))
    // What has come while this process had to wait for its turn is read first: it would be sent twice.
    const timer = setTimeout(() => setImmediate(tooLate), timeoutMs)
    request.on('error', (error) => done(failed(wordsOf(error))))
    request.on('response', (response) => {
      response.on('error', () => {})
      done(attemptOf(response.statusCode ?? 0))
    })
    request.end(body)
  })

const attemptOf = (status: number): Attempt => {
  if (status >= 200 && status < 300) return { kind: 'delivered', responseStatus: status }
  if (status === 410) return { kind: 'gone', responseStatus: status, error: 'answered 410: it wants no more' }
  const error = status >= 300 && status < 400 ? `answered ${status}: redirects are not followed` : `answered ${status}`
  return { kind: 'failed', responseStatus: status, error }
}

const failed = (error: string): Attempt => ({ kind: 'failed', responseStatus: null, error })

const words: { readonly [code: string]: string } = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut before an answer came',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection took too long',
  CERT_HAS_EXPIRED: 'the certificate of the host has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate of the host is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate of the host is signed by nobody known',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate of the host is signed by nobody known',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is of another host',
}

/** Messages of Node name addresses, which may be nobody's to know: what is said is said in words of ours. */
const wordsOf = (error: Error): string => {
  if (error instanceof NameRefusedError) return error.message
  const { code } = error as NodeJS.ErrnoException
  // Several addresses were tried.
  const first =
    error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException | undefined)?.code : undefined
  return words[first ?? code ?? ''] ?? `failed: ${first ?? code ?? 'the answer is no HTTP'}`
}
