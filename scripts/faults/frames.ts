/**
 * Cuts one direction of a WebSocket connection (RFC 6455) into frames, so that a fault can be aimed at one of
 * them. What comes before the upgrade is complete, and what is no text, passes as it is.
 */
export type Piece = {
  readonly bytes: Buffer
  /** The JSON of a text frame. */
  readonly frame: { readonly [field: string]: unknown } | null
}

const TEXT = 1

/** Length of header and payload, or null while the header is not there yet. */
const sizesOf = (
  buffer: Buffer,
): { readonly header: number; readonly payload: number; readonly masked: boolean } | null => {
  if (buffer.length < 2) return null
  const second = buffer.readUInt8(1)
  const masked = (second & 0x80) !== 0
  const short = second & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  const header = 2 + extended + (masked ? 4 : 0)
  if (buffer.length < header) return null
  const payload = extended === 0 ? short : extended === 2 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2))
  return { header, payload, masked }
}

const textOf = (bytes: Buffer, header: number, masked: boolean): string => {
  const payload = Buffer.from(bytes.subarray(header))
  if (masked) {
    const key = bytes.subarray(header - 4, header)
    for (let at = 0; at < payload.length; at += 1) payload[at] = (payload[at] ?? 0) ^ (key[at % 4] ?? 0)
  }
  return payload.toString('utf8')
}

const parsed = (text: string): Piece['frame'] => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export const createFrameSplitter = (): ((chunk: Buffer) => Piece[]) => {
  let upgraded = false
  let rest = Buffer.alloc(0)

  const head = (): Piece[] => {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return []
    upgraded = true
    const bytes = rest.subarray(0, end + 4)
    rest = rest.subarray(end + 4)
    return [{ bytes, frame: null }]
  }

  const next = (): Piece | null => {
    const sizes = sizesOf(rest)
    if (sizes === null || rest.length < sizes.header + sizes.payload) return null
    const bytes = rest.subarray(0, sizes.header + sizes.payload)
    rest = rest.subarray(bytes.length)
    const isText = (bytes.readUInt8(0) & 0x0f) === TEXT
    return { bytes, frame: isText ? parsed(textOf(bytes, sizes.header, sizes.masked)) : null }
  }

  return (chunk) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    const pieces = upgraded ? [] : head()
    for (let piece = upgraded ? next() : null; piece !== null; piece = next()) pieces.push(piece)
    return pieces
  }
}
