/** The HTTP server: timeouts, what is not HTTP at all, and an end that lets running requests finish. */
import { randomUUID } from 'node:crypto'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { bareProblem, PROBLEM_MEDIA_TYPE, type ProblemCode, problems } from '../../src/api/problem.ts'

/** Why it cannot listen, in words for the person who set HOST and PORT. */
export class CannotListenError extends Error {
  readonly code: string
  constructor(message: string, code: string) {
    super(message)
    this.name = 'CannotListenError'
    this.code = code
  }
}

export type Listening = {
  /** For adapters that take `upgrade` events. */
  readonly server: Server
  readonly url: string
  /** Where it is reached from the machine it runs on, by IPv4 also when it listens everywhere. */
  readonly loopbackUrl: string
  readonly port: number
  /** Stops accepting, lets running requests finish within `graceMs`, then ends every connection. */
  readonly close: (graceMs?: number) => Promise<void>
}

export type ListenOptions = {
  readonly app: RequestListener
  readonly host: string
  readonly port: number
  readonly patience?: Patience
  /** Paths at which a WebSocket may begin: elsewhere a request that offers one is an ordinary request. Default: all. */
  readonly upgrades?: readonly string[]
}

/** How long a client may take, in milliseconds: those who send a byte now and then hold a connection no longer than this. */
export type Patience = {
  readonly headersMs: number
  /** Headers and body. */
  readonly requestMs: number
  /** How often slow ones are looked for. */
  readonly lookMs: number
}

const PATIENCE: Patience = { headersMs: 15_000, requestMs: 60_000, lookMs: 5_000 }

/** Of the request line and all headers. */
const MAX_HEADER_BYTES = 16_384

const GRACE_MS = 5_000
/**
 * For so long connections that wait are left open, and told with their next answer to end. A client that is busy
 * would else send its next request into a connection that is being closed, and never know what became of it.
 */
const LINGER_MS = 500

/**
 * Connections that wait to be accepted; the kernel takes no more than its own limit (net.core.somaxconn, 4,096 on Linux).
 * One that finds no room is tried again by its client's kernel after 1, 3 and 7 s: with Node's 511, those who open a
 * connection to the API while ten thousand agents come back waited for that.
 */
const BACKLOG = 4_096

export const listen = async ({ app, host, port, patience = PATIENCE, upgrades }: ListenOptions): Promise<Listening> => {
  const server = createServer(
    {
      // Longer than the 60 s after which common load balancers close: the side that closes first must be theirs,
      // or a request can meet a connection that is just being closed.
      keepAliveTimeout: 75_000,
      headersTimeout: patience.headersMs,
      requestTimeout: patience.requestMs,
      connectionsCheckingInterval: patience.lookMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Refused here, in the words of all other refusals.
      requireHostHeader: false,
      // Clients that offer HTTP/2 (h2c) with every request still mean an ordinary one.
      shouldUpgradeCallback: ({ headers, url = '' }) =>
        headers.upgrade?.toLowerCase() === 'websocket' &&
        (upgrades === undefined || upgrades.includes(url.split('?', 1)[0] ?? '')),
    },
    (request, response) => {
      // RFC 9112, section 3.2.
      if (request.httpVersion === '1.1' && request.headers.host === undefined) refuseHostless(response)
      else app(request, response)
    },
  )
  server.on('clientError', refuseNonsense)
  // What else somebody expects nobody has to heed (RFC 9110, section 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await bound(server, host, port)
  const address = server.address() as AddressInfo
  return {
    server,
    port: address.port,
    url: urlOf(host, address.port),
    loopbackUrl: urlOf(host === '::' ? '0.0.0.0' : host, address.port),
    close: (graceMs = GRACE_MS) => close(server, sockets, graceMs),
  }
}

const bound = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(cannotListen(error, host, port))
    server.once('error', failed)
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', failed)
      resolve()
    })
  })

const cannotListen = (error: NodeJS.ErrnoException, host: string, port: number): Error => {
  switch (error.code) {
    case 'EADDRINUSE':
      return new CannotListenError(
        `port ${port} is in use by another program: set PORT to another, or PORT=0 for any free one`,
        error.code,
      )
    case 'EACCES':
      return new CannotListenError(
        `port ${port} needs rights that this program has not: set PORT to another`,
        error.code,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CannotListenError(`${host} is no address of this machine: set HOST to one that is`, error.code)
    default:
      return error
  }
}

/** An address that means "all of them" is none to connect to. */
const urlOf = (host: string, port: number): string => {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

const close = async (server: Server, sockets: ReadonlySet<Socket>, graceMs: number): Promise<void> => {
  server.prependListener('request', (_request, response) => response.setHeader('connection', 'close'))
  const closed = new Promise<void>((resolve) => {
    // Not the HTTP server's own: that one ends connections that wait in the same moment.
    NetServer.prototype.close.call(server, () => resolve())
  })
  const lingerUntil = performance.now() + Math.min(LINGER_MS, graceMs)
  // A connection that becomes idle later would be kept for its keep-alive time.
  const sweep = setInterval(() => {
    // What has come while this process had to wait for its turn is read first: with a request in it a connection is not idle.
    if (performance.now() >= lingerUntil) setImmediate(() => server.closeIdleConnections())
  }, 20)
  const limit = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, graceMs)
  await closed
  clearInterval(sweep)
  clearTimeout(limit)
}

const nonsense: { readonly [code: string]: readonly [code: ProblemCode, detail: string] } = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'the headers have more than 16 KiB'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request was not complete in time'],
}

const refuseNonsense = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
  else
    refuse(socket, ...(nonsense[error.code ?? ''] ?? (['malformed_request', 'this is not an HTTP request'] as const)))
}

/** For what does not even parse as HTTP there is no request object; the answer is written by hand. */
const refuse = (socket: Duplex, code: ProblemCode, detail: string): void => {
  const { status, title, headers, json } = refusal(code, detail)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end([`HTTP/1.1 ${status} ${title}`, ...lines, '', json].join('\r\n'))
}

/** In its turn: answers to what was asked before on the connection may be on their way. */
const refuseHostless = (response: ServerResponse): void => {
  const { status, headers, json } = refusal('malformed_request', 'the header Host is missing')
  response.writeHead(status, headers).end(json)
}

const refusal = (code: ProblemCode, detail: string) => {
  const requestId = randomUUID()
  const json = bareProblem(code, detail, requestId)
  const headers = {
    'Content-Type': PROBLEM_MEDIA_TYPE,
    'Content-Length': String(Buffer.byteLength(json)),
    'X-Request-Id': requestId,
    Connection: 'close',
  }
  return { ...problems[code], headers, json }
}
