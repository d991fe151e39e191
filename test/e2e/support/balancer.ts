/**
 * A small balancer of TCP connections, as stands in front of replicas: each connection goes to the next backend that
 * accepts it. It tries another one only while nothing was sent, so what it hides is a refused connection and no more.
 */
import { createServer, connect as dial, type Socket } from 'node:net'
import type { Scene } from './scene.ts'

export type Balancer = {
  readonly url: string
  /** From the next connection on. */
  readonly backends: (urls: readonly string[]) => void
}

export const balancer = async (here: Scene): Promise<Balancer> => {
  let ports: readonly number[] = []
  let turn = 0
  const sockets = new Set<Socket>()

  const backend = async (): Promise<Socket | null> => {
    const first = turn++
    for (let tried = 0; tried < ports.length; tried += 1) {
      const port = ports[(first + tried) % ports.length] ?? 0
      const socket = await connected(port).catch(() => null)
      if (socket !== null) return socket
    }
    return null
  }
  const pass = async (client: Socket): Promise<void> => {
    keep(client)
    const server = await backend()
    if (server === null || client.destroyed) {
      client.destroy()
      server?.destroy()
      return
    }
    keep(server)
    client.pipe(server)
    server.pipe(client)
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }
  const keep = (socket: Socket): void => {
    socket.on('error', () => {})
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  }

  const listener = createServer({ pauseOnConnect: false, allowHalfOpen: true }, (client) => void pass(client))
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  here.finally(async () => {
    listener.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    url: `http://127.0.0.1:${(listener.address() as { port: number }).port}`,
    backends: (urls) => {
      ports = urls.map((url) => Number(new URL(url).port))
    },
  }
}

const connected = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = dial({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
  })
