/**
 * A proxy in front of an engine that loses answers: what it is told to cut is handed on whole, the engine does it, and the
 * connection is closed instead of answering.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestOptions, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addressOf } from '../../agents/docker/engine.ts'

/** `nth`: from 1, of those that are asked after this was set. */
export type Cut = { readonly method: string; readonly path: RegExp; readonly nth: number }

export type CuttingProxy = {
  /** For `DOCKER_HOST`. */
  readonly host: string
  /** Takes the place of the one before. */
  readonly cut: (what: Cut) => void
  /** Nothing that is asked of such a path arrives; null: all does again. */
  readonly swallow: (path: RegExp | null) => void
  /** Whether that was asked, and its answer lost. */
  readonly hasCut: () => boolean
  /** Each request that changes something, since `cut`. */
  readonly writes: () => readonly string[]
  readonly close: () => Promise<void>
}

export const cuttingProxy = async (engine: string): Promise<CuttingProxy> => {
  const folder = mkdtempSync(join(tmpdir(), 'cutting-proxy-'))
  const socket = join(folder, 'sock')
  const address = addressOf(engine) as RequestOptions
  let cut: Cut | null = null
  let swallowed: RegExp | null = null
  let matched = 0
  let done = false
  let writes: string[] = []

  const isToCut = (method: string, url: string): boolean => {
    if (cut === null || done || method !== cut.method || !cut.path.test(url)) return false
    matched += 1
    return matched === cut.nth
  }

  const server = createServer((asked, answer) => {
    const { method = 'GET', url = '/', headers } = asked
    if (!['GET', 'HEAD'].includes(method)) writes.push(`${method} ${url.split('?')[0]}`)
    if (swallowed?.test(url)) {
      asked.socket.destroy()
      return
    }
    const cutting = isToCut(method, url)
    const onward = request({ ...address, method, path: url, headers, agent: false }, (said) => {
      if (!cutting) {
        answer.writeHead(said.statusCode ?? 502, said.headers)
        said.pipe(answer)
        return
      }
      // Only once the engine has said all is it over with it.
      said.resume().on('end', () => {
        done = true
        asked.socket.destroy()
      })
    })
    onward.on('error', () => answer.destroy())
    answer.on('close', () => {
      if (!cutting) onward.destroy()
    })
    asked.pipe(onward)
  })
  server.listen(socket)
  await once(server, 'listening')
  return {
    host: `unix://${socket}`,
    cut: (what) => {
      cut = what
      matched = 0
      done = false
      writes = []
    },
    swallow: (path) => {
      swallowed = path
    },
    hasCut: () => done,
    writes: () => writes,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
