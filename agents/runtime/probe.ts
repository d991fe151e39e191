/** One look at whether a session answers. */
import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { WireSpec } from '../protocol.ts'

/** `answered`: somebody does; whether it is the session is another question. `refused`: with why, for people. */
export type ProbeResult = { readonly kind: 'answered' } | { readonly kind: 'refused'; readonly why: string }

export type Probe =
  | { readonly type: 'none' }
  | { readonly type: 'tcp'; readonly portName: string }
  | { readonly type: 'http'; readonly portName: string; readonly path: string }
  | { readonly type: 'exec'; readonly command: readonly string[] }

export const DEFAULT_INTERVAL_MS = 250
export const DEFAULT_TIMEOUT_MS = 2_000

/** As HTTP has it on its request line (RFC 9112, 3.2.1): Node throws at anything else. */
const REQUEST_PATH = /^\/[\x21-\x7e]*$/

/** What the spec asks for; an error names what is not there. */
export const probeOf = (spec: WireSpec): Probe | { readonly type: 'invalid'; readonly message: string } => {
  const first = spec.ports?.[0]?.name
  const { type, port = first, path = '/', command } = spec.probe ?? { type: 'tcp' as const }
  if (type === 'exec')
    return command === undefined
      ? { type: 'invalid', message: 'an exec probe needs a command' }
      : { type: 'exec', command }
  if (port === undefined)
    return spec.probe === undefined
      ? { type: 'none' }
      : { type: 'invalid', message: `a probe of type ${type} needs a port, and the spec has none` }
  if (!spec.ports?.some(({ name }) => name === port))
    return { type: 'invalid', message: `the probe names port ${port}, which the spec does not have` }
  if (type === 'tcp') return { type, portName: port }
  return REQUEST_PATH.test(path)
    ? { type, portName: port, path }
    : {
        type: 'invalid',
        message: `the path of an http probe begins with / and has no blanks or control characters, and characters outside ASCII are written as in a URL (%C3%BC): ${JSON.stringify(path)} is none`,
      }
}

const spoken: { readonly [code: string]: string } = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  EHOSTUNREACH: 'host unreachable',
}

const refused = (error: NodeJS.ErrnoException): ProbeResult => ({
  kind: 'refused',
  why: spoken[error.code ?? ''] ?? error.message,
})

/** `heldForMs`: where a proxy takes connections for others, it has answered when it has not dropped one after so long. */
export const probeTcp = (host: string, port: number, timeoutMs: number, heldForMs = 0): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    let held: NodeJS.Timeout | undefined
    const finish = (result: ProbeResult): void => {
      clearTimeout(held)
      socket.destroy()
      resolve(result)
    }
    socket.setTimeout(timeoutMs, () => finish({ kind: 'refused', why: `no answer within ${timeoutMs} ms` }))
    socket.once('error', (error) => finish(refused(error)))
    socket.once('end', () => finish({ kind: 'refused', why: 'connection refused' }))
    // Who speaks first is there.
    socket.once('data', () => finish({ kind: 'answered' }))
    socket.once('connect', () => {
      if (heldForMs === 0) finish({ kind: 'answered' })
      // What has come meanwhile is read first: this program may have had to wait for its own turn.
      else held = setTimeout(() => setImmediate(() => finish({ kind: 'answered' })), heldForMs)
    })
  })

export const probeHttp = (host: string, port: number, path: string, timeoutMs: number): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const asked = request({ host, port, path, agent: false, headers: { connection: 'close' } })
    // The whole exchange, not only silence: a server that drips would hold it for ever.
    const patience = setTimeout(() => finish({ kind: 'refused', why: `no answer within ${timeoutMs} ms` }), timeoutMs)
    const finish = (result: ProbeResult): void => {
      clearTimeout(patience)
      asked.destroy()
      resolve(result)
    }
    asked.once('error', (error) => finish(refused(error)))
    asked.once('response', ({ statusCode = 0 }) =>
      finish(
        statusCode >= 200 && statusCode < 400
          ? { kind: 'answered' }
          : { kind: 'refused', why: `GET ${path} answered ${statusCode}` },
      ),
    )
    asked.end()
  })

/** Exit code 0 within the time. The program runs as the session's user, with its environment, in its home. */
export const probeExec = (
  command: readonly string[],
  options: {
    readonly cwd: string
    readonly env: { readonly [name: string]: string }
    readonly uid: number | null
    readonly timeoutMs: number
  },
): Promise<ProbeResult> =>
  new Promise((resolve) => {
    const [program = '', ...programArguments] = command
    const { cwd, env, uid, timeoutMs } = options
    const child = spawn(program, programArguments, {
      cwd,
      // Named, or Node would add the agent's own.
      env: { NODE_V8_COVERAGE: undefined, ...env },
      ...(uid === null ? {} : { uid, gid: uid }),
      detached: true,
      stdio: 'ignore',
    })
    const patience = setTimeout(() => {
      finish({ kind: 'refused', why: `the probe's command did not end within ${timeoutMs} ms` })
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has just ended.
      }
    }, timeoutMs)
    const finish = (result: ProbeResult): void => {
      clearTimeout(patience)
      resolve(result)
    }
    child.once('error', (error) =>
      finish({ kind: 'refused', why: `the probe's command cannot be run: ${error.message}` }),
    )
    child.once('exit', (code, signal) =>
      finish(
        code === 0
          ? { kind: 'answered' }
          : { kind: 'refused', why: `the probe's command ended with ${signal ?? `exit code ${code}`}` },
      ),
    )
  })
