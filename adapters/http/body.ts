/**
 * Reads a JSON body: at most 1 MiB, UTF-8 and nothing else (a decoder that replaces bad bytes would store
 * something that nobody sent), not nested so deep that writing it out again would exhaust the stack, no name twice in an object.
 */
import type { IncomingMessage } from 'node:http'
import { E } from '../../domain/fp.ts'
import { duplicateName } from './duplicate-names.ts'
import type { HttpError } from './problems.ts'

export const MAX_BODY_BYTES = 1_048_576
const MAX_DEPTH = 100

/** What is read of a body that is too large anyway, so that its sender gets to read the answer. */
const MAX_DRAINED_BYTES = 64 * MAX_BODY_BYTES

/** The client went away while it was sending: there is nobody to answer. */
export class RequestAbortedError extends Error {
  constructor() {
    super('the client went away before its request was complete')
    this.name = 'RequestAbortedError'
  }
}

export type Body = { readonly sent: false } | { readonly sent: true; readonly value: unknown }

const nothing: Body = { sent: false }

export const readBody = async (request: IncomingMessage): Promise<E.Either<HttpError, Body>> => {
  const { headers } = request
  const length = headers['content-length']
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return E.right(nothing)
  const refusal = unsupported(headers['content-type'], headers['content-encoding'])
  if (refusal !== null) return E.left({ _tag: 'UnsupportedMediaType', detail: refusal })
  const bytes = await collect(request, Number(length ?? 0))
  if (bytes === null) return E.left({ _tag: 'BodyTooLarge', limit: MAX_BODY_BYTES })
  return bytes.length === 0 ? E.right(nothing) : parse(bytes)
}

const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?;?[ \t]*$/i

const unsupported = (type: string | undefined, encoding: string | undefined): string | null => {
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    return `a body must not be compressed (Content-Encoding: ${encoding})`
  if (type === undefined) return 'the body has no Content-Type; it must be application/json'
  return JSON_TYPE.test(type) ? null : `the body is ${type}; it must be application/json (UTF-8)`
}

/** null: too large. */
const collect = (request: IncomingMessage, announced: number): Promise<Buffer | null> =>
  new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let size = 0
    let tooLarge = announced > MAX_BODY_BYTES
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BODY_BYTES) tooLarge = true
      if (!tooLarge) chunks.push(chunk)
      else {
        chunks = []
        if (size > MAX_DRAINED_BYTES) resolve(null)
      }
    })
    request.on('end', () =>
      resolve(tooLarge ? null : chunks.length === 1 ? (chunks[0] ?? null) : Buffer.concat(chunks)),
    )
    request.on('error', () => reject(new RequestAbortedError()))
    // It follows every request: an error, whose stack costs, is made only of one that was cut short.
    request.on('close', () => {
      if (!request.readableEnded) reject(new RequestAbortedError())
    })
  })

const utf8 = new TextDecoder('utf-8', { fatal: true })

const parse = (bytes: Buffer): E.Either<HttpError, Body> => {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return E.left({ _tag: 'MalformedJson', detail: 'the body is not UTF-8' })
  }
  if (isTooDeep(text))
    return E.left({ _tag: 'MalformedJson', detail: `the body is nested more than ${MAX_DEPTH} levels deep` })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return E.left({ _tag: 'MalformedJson', detail: `the body is not JSON: ${(error as Error).message}` })
  }
  const twice = duplicateName(text)
  return twice === null
    ? E.right({ sent: true, value })
    : E.left({ _tag: 'InvalidRequest', errors: [{ field: twice, message: 'is given more than once' }] })
}

/** Counts brackets outside strings. Text that is no JSON may be counted wrong; the parser refuses it anyway. */
const isTooDeep = (text: string): boolean => {
  if (text.length <= 2 * MAX_DEPTH) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charCodeAt(i)
    if (inString) {
      if (char === 0x5c) i += 1
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x7b || char === 0x5b) {
      depth += 1
      if (depth > MAX_DEPTH) return true
    } else if (char === 0x7d || char === 0x5d) depth -= 1
  }
  return false
}
