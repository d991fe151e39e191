/** Ports for programs that end and come back on the same one. */
import { createServer } from 'node:net'

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/**
 * As text, as it is set. Below those that a machine gives to whoever asks for any (from 32768 on Linux, 49152 on macOS): it is still
 * free when its program comes back, whatever else runs meanwhile.
 */
export const portToKeep = async (): Promise<string> => {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    if (await isFree(port)) return String(port)
  }
  throw new Error('of a hundred ports none was free')
}

/** Where nobody listens: no program gets one of these without asking for it. */
export const NOBODYS_PORT = 1
/** The same for fetch, which refuses the first one without trying. */
export const NOBODYS_URL = 'http://127.0.0.1:2'
