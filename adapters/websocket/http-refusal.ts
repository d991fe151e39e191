import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

/** Why an upgrade does not become a WebSocket. */
export type Refusal = { readonly status: number; readonly message: string; readonly headers?: Record<string, string> }

export const notFound: Refusal = { status: 404, message: 'Nothing is upgraded here.' }
export const badRequest = (message: string): Refusal => ({ status: 400, message })
export const unauthorized: Refusal = {
  status: 401,
  message: 'A valid agent token is needed: Authorization: Bearer ssa_…',
  headers: { 'WWW-Authenticate': 'Bearer' },
}
/** `random` spreads those who come back, from 0 to 1. */
export const unavailable = (message: string, random: number): Refusal => ({
  status: 503,
  message,
  headers: { 'Retry-After': String(1 + Math.floor(random * 5)) },
})

/** Answers an upgrade in plain HTTP and ends the socket, whatever has become of it. */
export const refuseUpgrade = (socket: Duplex, { status, message, headers }: Refusal): void => {
  if (socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const body = `${message}\n`
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`),
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
