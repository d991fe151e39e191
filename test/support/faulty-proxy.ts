/**
 * Stands between an agent and a real API server: forwards what is asked, counts it, and misbehaves as a test says. The agent
 * speaks HTTP to it, with a kubeconfig of its own; it speaks to the server as the given kubeconfig says.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { connect, type Method } from '../../agents/kubernetes/transport.ts'

export type AskedOfProxy = {
  readonly method: Method
  readonly path: string
  readonly watch: boolean
  /** Of `performance.now()`. */
  readonly at: number
  /** Of the answer; null: none yet. */
  status: number | null
}
export type Fault = { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }

type Stream = { readonly path: string; readonly answer: ServerResponse; isSilent: boolean }

export type FaultyProxy = {
  readonly kubeconfig: string
  /** Everything that was asked, in order. */
  readonly asked: AskedOfProxy[]
  /** How many requests, watches not counted, were under way at the same time at most. */
  readonly mostAtOnce: () => number
  readonly openWatches: () => readonly string[]
  /** What is answered in the server's place; null: the server answers. */
  answerInstead: (asked: AskedOfProxy) => Fault | null
  /** Whether the server's answer is dropped, and the connection with it: it was done, and nobody knows. */
  loseAnswer: (asked: AskedOfProxy) => boolean
  /** The path that the server is asked for. */
  rewrite: (path: string) => string
  /** What a watch's line is replaced with. */
  alter: (line: string) => string
  /** Resets every connection. */
  readonly cut: () => void
  /** While it is true, every connection is reset as soon as it is made. */
  isAway: boolean
  /** While it is true, nothing is answered and nothing is closed. */
  isMute: boolean
  /** Of watches that are open now, all or those of a kind, nothing of the server's is heard any more, and they are not closed. */
  readonly silence: (plural?: string) => void
  /** Writes to the open watches of a kind; false: there is none. */
  readonly inject: (plural: string, text: string) => boolean
  /** Forgets what was counted, and behaves. */
  readonly reset: () => void
  readonly close: () => Promise<void>
}

export const faultyProxy = async (kubeconfig: string): Promise<FaultyProxy> => {
  const server = connect(kubeconfig)
  const folder = await mkdtemp(join(tmpdir(), 'faulty-proxy-'))
  const sockets = new Set<Socket>()
  const streams = new Set<Stream>()
  let asked: AskedOfProxy[] = []
  let underWay = 0
  let most = 0

  const serve = async (request: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const path = request.url ?? ''
    const one: AskedOfProxy = {
      method: request.method as Method,
      path,
      watch: path.includes('watch=true'),
      at: performance.now(),
      status: null,
    }
    asked.push(one)
    const body = await textOf(request)
    if (proxy.isMute) return
    const fault = proxy.answerInstead(one)
    if (fault !== null) {
      one.status = fault.status
      answer.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers })
      answer.end(fault.body ?? JSON.stringify({ kind: 'Status', code: fault.status, message: 'as the test says' }))
      return
    }
    const over = new AbortController()
    answer.once('close', () => over.abort())
    const forwarded = await server.send({
      method: one.method,
      path: proxy.rewrite(path),
      signal: over.signal,
      ...(body === '' ? {} : { body, contentType: request.headers['content-type'] ?? 'application/json' }),
    })
    one.status = forwarded.statusCode ?? 502
    if (proxy.loseAnswer(one)) {
      await textOf(forwarded)
      return void answer.destroy()
    }
    answer.writeHead(one.status, contentType(forwarded))
    answer.flushHeaders()
    if (one.watch && forwarded.statusCode === 200) return stream(path, forwarded, answer)
    answer.end(await textOf(forwarded))
  }

  const stream = async (path: string, forwarded: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const one: Stream = { path, answer, isSilent: false }
    streams.add(one)
    answer.once('close', () => streams.delete(one))
    let begun = ''
    for await (const chunk of forwarded.setEncoding('utf8')) {
      const lines = `${begun}${chunk}`.split('\n')
      begun = lines.pop() ?? ''
      for (const line of lines) if (!one.isSilent && !proxy.isMute) answer.write(`${proxy.alter(line)}\n`)
    }
    if (!one.isSilent) answer.end()
  }

  const listener = createServer((request, answer) => {
    const isWatch = request.url?.includes('watch=true') === true
    underWay += isWatch ? 0 : 1
    most = Math.max(most, underWay)
    answer.once('close', () => {
      underWay -= isWatch ? 0 : 1
    })
    // The server is gone, or whoever asked is: as a broken connection looks.
    serve(request, answer).catch(() => answer.destroy())
  })
  listener.on('connection', (socket) => {
    if (proxy.isAway) return void socket.resetAndDestroy()
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const config = parse(await readFile(kubeconfig, 'utf8'))
  const { port } = listener.address() as AddressInfo
  // The library sends no token over HTTP unless it is told that nothing is to be verified.
  for (const one of config.clusters)
    one.cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true }
  const path = join(folder, 'kubeconfig')
  await writeFile(path, stringify(config), { mode: 0o600 })

  const behave = {
    answerInstead: (): Fault | null => null,
    loseAnswer: () => false,
    rewrite: (path: string) => path,
    alter: (line: string) => line,
    isAway: false,
    isMute: false,
  }
  const streamsOf = (plural = ''): readonly Stream[] =>
    [...streams].filter(({ path }) => path.split('?')[0]?.endsWith(`/${plural}`) || plural === '')
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const proxy: FaultyProxy = {
    ...behave,
    kubeconfig: path,
    get asked() {
      return asked
    },
    mostAtOnce: () => most,
    openWatches: () => [...streams].map((one) => one.path),
    cut,
    silence: (plural) => {
      for (const one of streamsOf(plural)) one.isSilent = true
    },
    inject: (plural, text) => {
      const all = streamsOf(plural)
      for (const { answer } of all) answer.write(text)
      return all.length > 0
    },
    reset: () => {
      asked = []
      most = underWay
      Object.assign(proxy, behave)
    },
    close: async () => {
      cut()
      listener.closeAllConnections()
      await new Promise((resolve) => listener.close(resolve))
      server.close()
      await rm(folder, { recursive: true })
    },
  }
  return proxy
}

const contentType = (answer: IncomingMessage): Record<string, string> => {
  const given = answer.headers['content-type']
  const retryAfter = answer.headers['retry-after']
  return {
    ...(given === undefined ? {} : { 'content-type': given }),
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
  }
}

const textOf = async (message: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of message.setEncoding('utf8')) text += chunk
  return text
}
