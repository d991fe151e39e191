/** A web program that ships, as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { findFreePorts } from '../../agents/process/free-ports.ts'
import { eventually } from './eventually.ts'

export const TOKEN = 'the-token-of-this-session'
export const bearer = { authorization: `Bearer ${TOKEN}` }
export type Program = {
  readonly base: string
  readonly home: string
  readonly child: ChildProcess
  readonly close: () => Promise<void>
}

export const started = async (name: string, env: { readonly [name: string]: string } = {}): Promise<Program> => {
  const home = mkdtempSync(join(tmpdir(), 'home-'))
  const { http: port } = await findFreePorts('127.0.0.1', ['http'], {}, new Set())
  const script = fileURLToPath(new URL(`../../agents/process/apps/${name}.js`, import.meta.url))
  const child = spawn(process.execPath, [script], {
    env: {
      HOME: home,
      PORT: String(port),
      STREAMSPACE_ACCESS_TOKEN: TOKEN,
      STREAMSPACE_SESSION_ID: 'session-1',
      STREAMSPACE_USER: 'ada <b>',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const base = `http://127.0.0.1:${port}`
  await eventually(async () => expect((await fetch(`${base}/healthz`)).status).to.equal(200))
  return {
    base,
    home,
    child,
    close: async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** As no well-behaved client sends it: the path stays as it is. */
export const raw = (base: string, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const asked = request({ hostname, port, path, headers: bearer }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    asked.on('error', reject)
    asked.end()
  })
