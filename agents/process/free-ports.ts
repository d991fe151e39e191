/** Ports that nobody listens on. Nothing keeps them so until the session does: see `listeners.ts`. */
import { createServer, type Server } from 'node:net'

const listen = (host: string, port: number): Promise<Server | null> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' || error.code === 'EACCES' ? resolve(null) : reject(error),
    )
    server.listen({ host, port, exclusive: true }, () => resolve(server))
  })

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/**
 * A port for each name: the wished one where it is free, else any. `taken` are those of sessions that may not
 * listen yet.
 */
export const findFreePorts = async (
  host: string,
  names: readonly string[],
  wished: { readonly [name: string]: number },
  taken: ReadonlySet<number>,
): Promise<{ readonly [name: string]: number }> => {
  // All are held until all are found, so that no two names get the same.
  const held: Server[] = []
  const found: Record<string, number> = {}
  try {
    for (const name of names) {
      for (;;) {
        const wish = Object.hasOwn(found, name) ? 0 : (wished[name] ?? 0)
        const server = (wish === 0 || taken.has(wish) ? null : await listen(host, wish)) ?? (await listen(host, 0))
        if (server === null) throw new Error(`no port is free on ${host}`)
        held.push(server)
        found[name] = portOf(server)
        if (!taken.has(portOf(server))) break
      }
    }
  } finally {
    await Promise.all(held.map(close))
  }
  return found
}
