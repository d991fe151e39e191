/** What no HTTP client of ours would send. */
import { connect } from 'node:net'

export type RawAnswer = { readonly status: number; readonly text: string }

/** Sends it as it is, and reads until the server ends the connection. */
export const sendRaw = (url: string, request: string): Promise<RawAnswer> =>
  new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request))
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text }))
  })

export const rawRequest = (
  method: string,
  target: string,
  headers: { readonly [name: string]: string } = {},
  body = '',
): string =>
  [
    `${method} ${target} HTTP/1.1`,
    'Host: here',
    'Connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
    '',
    body,
  ].join('\r\n')
