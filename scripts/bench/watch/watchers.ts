/**
 * Many watchers in a process of its own. Each is a raw socket, and of each event only its number is read, in the moment in which the
 * bytes arrive: what is measured is the server, not a client.
 */
import { connect, type Socket } from 'node:net'

export type WatchersOrder =
  | { readonly kind: 'connect'; readonly url: string; readonly key: string; readonly count: number }
  | { readonly kind: 'tell' }

export type WatchersState = {
  readonly connected: number
  readonly ended: number
  /** Of what arrived, one after another, whoever's it is: the event's id and when, in milliseconds since 1970. */
  readonly ids: Float64Array
  readonly at: Float64Array
}

const MOST = 4_000_000
const AT_ONCE = 50
const ID = /\ndata: \{"id":(\d+),/g

const ids = new Float64Array(MOST)
const at = new Float64Array(MOST)
let arrived = 0
let connected = 0
let ended = 0

const take = (text: string, now: number): void => {
  for (const [, id] of text.matchAll(ID)) {
    ids[arrived] = Number(id)
    at[arrived] = now
    arrived += 1
  }
}

const watch = (url: URL, key: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    let rest = ''
    let begun = false
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('close', () => {
      ended += 1
    })
    socket.on('data', (chunk: string) => {
      const now = performance.timeOrigin + performance.now()
      const text = rest + chunk
      // Up to the end of the last whole event.
      const end = text.lastIndexOf('\n\n') + 2
      rest = end === 1 ? text : text.slice(end)
      if (end > 1) take(`\n${text.slice(0, end)}`, now)
      if (begun) return
      if (!text.startsWith('HTTP/1.1 200')) reject(new Error(text.slice(0, 200)))
      if (!text.includes('event: ready')) return
      begun = true
      connected += 1
      resolve()
    })
    socket.write(`GET /api/v1/watch HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  })

process.on('message', async (order: WatchersOrder) => {
  if (order.kind === 'connect') {
    const url = new URL(order.url)
    for (let left = order.count; left > 0; left -= AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => watch(url, order.key)))
  }
  const state: WatchersState = { connected, ended, ids: ids.slice(0, arrived), at: at.slice(0, arrived) }
  process.send?.(state)
})
process.on('disconnect', () => process.exit(0))
