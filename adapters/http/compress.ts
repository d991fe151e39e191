/**
 * gzip or brotli for what is large and shows no secret: lists, and the OpenAPI document. Fast rather than small, as JSON with the
 * same names in every row is a tenth of its size either way. Never what is shown once: what an attacker puts beside a secret would tell
 * of it by the size of the answer (BREACH). Never a stream that is to arrive as it is written.
 */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import Negotiator from 'negotiator'

/** What fits into one packet anyway is left as it is. */
export const COMPRESSED_FROM_BYTES = 1_400

const encoders = {
  br: (json: string) => promisify(brotliCompress)(json, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  gzip: (json: string) => promisify(gzip)(json, { level: 1 }),
}
export type Encoding = keyof typeof encoders

/** What the client would rather have; null: as it is. */
export const encodingFor = (request: IncomingMessage): Encoding | null => {
  if (request.headers['accept-encoding'] === undefined) return null
  const [preferred] = new Negotiator(request).encodings(['br', 'gzip', 'identity'])
  return preferred === 'br' || preferred === 'gzip' ? preferred : null
}

export const encoded = (json: string, encoding: Encoding): Promise<Buffer> => encoders[encoding](json)
