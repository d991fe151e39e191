/**
 * The engine's API, as far as sessions need it (dockerode underneath; docs.docker.com/engine/api). Every error is an
 * `EngineError`: with the engine's status, or without one when the engine was not reached.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import Docker from 'dockerode'
import { seconds } from '../../domain/template/restart.ts'
import { EngineError, engineErrorOf, isMissing, isStatus } from './engine-error.ts'
import { engineStart } from './engine-start.ts'
import { createPatience } from './patience.ts'

export { EngineError, GivenUp, isFullDisk, isMissing, isStatus, isUnreachable } from './engine-error.ts'

export type Labels = { readonly [name: string]: string }

/** A container as a list shows it. */
export type Listed = {
  readonly id: string
  readonly name: string
  readonly labels: Labels
  /** `created`, `running`, `paused`, `restarting`, `exited`, `removing`, `dead`. */
  readonly state: string
}

export type Inspected = {
  readonly id: string
  readonly name: string
  readonly labels: Labels
  readonly running: boolean
  readonly state: string
  readonly exitCode: number
  readonly oomKilled: boolean
  /** What the engine says when it could not start it. */
  readonly error: string
  readonly finishedAt: string
  readonly startedAt: string
  /** The id of its image. */
  readonly image: string
  /** As it was asked for. */
  readonly imageName: string
  /** Containers whose volumes it was given when it was made. */
  readonly volumesFrom: readonly string[]
  /** Port inside, such as `8080/tcp`, to the port outside. */
  readonly published: ReadonlyMap<string, number>
}

export type EngineEvent = {
  readonly type: string
  readonly action: string
  readonly id: string
  readonly labels: Labels
}

export type Auth = { readonly username: string; readonly password: string; readonly serveraddress: string }

export type Filters = { readonly [name: string]: readonly string[] }

/** Calls that only read or write a row of the engine's: longer than this and it hangs. Starting takes longer on a busy disk. */
const CALL_TIMEOUT_MS = 60_000
const MAX_ARCHIVE_BYTES = 1024 * 1024

const TLS_PORT = '2376'

/**
 * `unix:///path`, `tcp://host:port`, `http(s)://host:port`. TLS as the docker CLI does it: for tcp when DOCKER_TLS_VERIFY says so (or
 * the port does), with the files of DOCKER_CERT_PATH.
 */
export const addressOf = (
  host: string,
  environment: { readonly [name: string]: string | undefined } = process.env,
): Docker.DockerOptions => {
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) }
  const isSecured = Boolean(environment.DOCKER_TLS_VERIFY) || new RegExp(`:${TLS_PORT}/?$`).test(host)
  const url = new URL(host.replace(/^tcp:/, isSecured ? 'https:' : 'http:'))
  return {
    host: url.hostname,
    port: Number(url.port || (url.protocol === 'https:' ? 2376 : 2375)),
    protocol: url.protocol === 'https:' ? 'https' : 'http',
  }
}

export type Engine = ReturnType<typeof connectEngine>

/** `wrote` is told of each call that changes something on the engine, after it. */
export const connectEngine = (host: string, wrote: (what: string) => void = () => {}) => {
  const address = addressOf(host)
  const docker = new Docker({ ...address, timeout: CALL_TIMEOUT_MS })
  /** For what takes as long as it takes: events, pulls. */
  const patient = new Docker(address)
  /** On a new connection each time: an engine on its way down takes no new ones, and still answers on those that it has. */
  const agent = new (address.protocol === 'https' ? HttpsAgent : HttpAgent)()
  const knocking = new Docker({ ...address, agent } as Docker.DockerOptions)
  const container = (ref: string) => docker.getContainer(ref)
  const patience = createPatience(CALL_TIMEOUT_MS * 1.5)
  const asked = <A>(call: () => Promise<A>): Promise<A> => patience.during(call)
  const write = async <A>(what: string, call: () => Promise<A>): Promise<A> => {
    const answer = await asked(call)
    wrote(what)
    return answer
  }

  const pull = async (
    image: string,
    auth: Auth | null,
    signal: AbortSignal,
    progress: (event: { readonly [name: string]: unknown }) => void,
  ): Promise<void> => {
    const stream = (await asked(() =>
      patient.pull(image, { abortSignal: signal, ...(auth === null ? {} : { authconfig: auth }) }),
    )) as Readable
    const stop = (): void => void stream.destroy()
    signal.addEventListener('abort', stop)
    const forget = patience.onEnd((error) => void stream.destroy(error))
    try {
      for await (const event of jsonLines(stream)) {
        if (typeof event.error === 'string') throw new EngineError(event.error, 500)
        progress(event)
      }
    } catch (error) {
      throw engineErrorOf(error)
    } finally {
      signal.removeEventListener('abort', stop)
      forget()
    }
  }

  /** Asked although nobody has patience any more: it tells when there is an engine again. */
  const ping = async (withinMs: number, signal?: AbortSignal): Promise<void> => {
    const late = AbortSignal.timeout(withinMs)
    try {
      await (knocking.ping as (options: object) => Promise<unknown>)({
        abortSignal: signal === undefined ? late : AbortSignal.any([signal, late]),
      })
    } catch (error) {
      throw late.aborted ? new EngineError(`it did not answer within ${seconds(withinMs)}`, null) : engineErrorOf(error)
    }
  }

  /** When it was started, in its own time, as far as can be known (`engine-start.ts`). */
  const startedAt = async (): Promise<number | null> => {
    const bridge = await asked(() => docker.getNetwork('bridge').inspect()).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
    return engineStart(bridge?.Created, address.socketPath)
  }

  /** Begins a command in a container, and resolves to the name by which it is asked for. */
  const beginExec = async (ref: string, command: readonly string[]): Promise<string> => {
    const created = await asked(() =>
      container(ref).exec({ Cmd: [...command], AttachStdout: false, AttachStderr: false }),
    )
    // An answer that nobody reads keeps its connection.
    const answer = (await asked(() => created.start({ Detach: true }))) as Readable | undefined
    answer?.resume?.()
    return created.id
  }

  /** null: it still runs. */
  const execEnded = async (id: string): Promise<number | null> => {
    const { Running, ExitCode } = await asked(() => docker.getExec(id).inspect())
    return Running ? null : ExitCode
  }

  return {
    /** Every call that waits ends with this, and every one that comes is refused with it, until `resume`. */
    giveUp: patience.giveUp,
    resume: patience.resume,
    ping,
    startedAt,
    info: () => asked(() => docker.info()),
    /** As images name it (`amd64`, `arm64`); null: it does not say. */
    architecture: async (): Promise<string | null> => (await asked(() => docker.version())).Arch || null,
    hasImage: (image: string) =>
      asked(() => docker.getImage(image).inspect()).then(
        (found) => found,
        (error: unknown) => {
          if (isMissing(error)) return null
          throw error
        },
      ),
    importImage: async (archive: Buffer, repo: string, tag: string): Promise<void> => {
      const { Readable } = await import('node:stream')
      const stream = (await asked(() =>
        docker.importImage(Readable.from([archive]), { fromSrc: '-', repo, tag }),
      )) as unknown as Readable
      for await (const event of jsonLines(stream))
        if (typeof event.error === 'string') throw new EngineError(event.error, 500)
    },
    pull,
    create: (name: string, options: Docker.ContainerCreateOptions) =>
      write(`create ${name}`, async () => (await docker.createContainer({ ...options, name })).id),
    rename: (ref: string, name: string): Promise<void> => write(`rename ${ref}`, () => container(ref).rename({ name })),
    start: (ref: string): Promise<void> =>
      write(`start ${ref}`, () => container(ref).start()).catch((error: unknown) => {
        // It runs already.
        if (!isStatus(error, 304)) throw error
      }),
    kill: (ref: string, signal: string): Promise<void> =>
      write(`kill ${ref} ${signal}`, () => container(ref).kill({ signal })),
    remove: (ref: string, force: boolean): Promise<void> =>
      write(`remove ${ref}`, () => container(ref).remove({ force, v: true })),
    list: (filters: Filters): Promise<readonly Listed[]> =>
      asked(async () => {
        const found = await docker.listContainers({ all: true, filters: JSON.stringify(filters) })
        return found.map(({ Id, Names, Labels, State }) => ({
          id: Id,
          name: (Names[0] ?? '').replace(/^\//, ''),
          labels: Labels ?? {},
          state: State,
        }))
      }),
    inspect: (ref: string): Promise<Inspected> =>
      asked(async () => {
        const { Id, Name, Config, State, Image, NetworkSettings, HostConfig } = await container(ref).inspect()
        const published = new Map<string, number>()
        for (const [inside, bindings] of Object.entries(NetworkSettings.Ports ?? {})) {
          const port = Number(bindings?.[0]?.HostPort)
          if (port > 0) published.set(inside, port)
        }
        return {
          id: Id,
          name: Name.replace(/^\//, ''),
          labels: Config.Labels ?? {},
          running: State.Running,
          state: State.Status,
          exitCode: State.ExitCode,
          oomKilled: State.OOMKilled,
          error: State.Error,
          startedAt: State.StartedAt,
          finishedAt: State.FinishedAt,
          image: Image,
          imageName: Config.Image,
          volumesFrom: HostConfig.VolumesFrom ?? [],
          published,
        }
      }),
    /** The end of what it wrote, both streams in the order of their frames. */
    lastOutput: (ref: string, since: number): Promise<Buffer> =>
      asked(async () =>
        withoutHeaders(await container(ref).logs({ stdout: true, stderr: true, tail: 200, since, follow: false })),
      ),
    putArchive: (ref: string, archive: Buffer, path: string): Promise<void> =>
      write(`archive to ${ref}`, async () => void (await container(ref).putArchive(archive, { path }))),
    getArchive: (ref: string, path: string): Promise<Buffer> =>
      asked(async () => {
        const stream = (await container(ref).getArchive({ path })) as Readable
        const chunks: Buffer[] = []
        let bytes = 0
        for await (const chunk of stream) {
          bytes += (chunk as Buffer).length
          // What an image has there is its maker's: no more of it than such a file can sensibly have.
          if (bytes > MAX_ARCHIVE_BYTES) {
            stream.destroy()
            throw new EngineError(`${path} in the image is larger than ${MAX_ARCHIVE_BYTES} bytes`, 400)
          }
          chunks.push(chunk as Buffer)
        }
        return Buffer.concat(chunks)
      }),
    beginExec,
    execEnded,
    volumes: (filters: Filters): Promise<readonly { readonly name: string; readonly labels: Labels }[]> =>
      asked(async () => {
        const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) } as object)
        return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }))
      }),
    removeVolume: (name: string): Promise<void> =>
      write(`remove volume ${name}`, () => docker.getVolume(name).remove()),
    networks: (filters: Filters = {}) =>
      asked(() => docker.listNetworks({ filters: JSON.stringify(filters) } as object)),
    createNetwork: (options: Docker.NetworkCreateOptions) =>
      write('create network', async () => (await docker.createNetwork(options)).id),
    removeNetwork: (id: string): Promise<void> => write(`remove network ${id}`, () => docker.getNetwork(id).remove()),
    /** `since`: seconds since the epoch. Ends when the engine goes away, or with `signal`. Rejects when it cannot be begun. */
    events: async (filters: Filters, since: number, signal: AbortSignal): Promise<AsyncGenerator<EngineEvent>> => {
      const stream = (await asked(() =>
        patient.getEvents({ filters: JSON.stringify(filters), since, abortSignal: signal } as object),
      )) as unknown as Readable
      return eventsOf(stream, signal)
    },
  }
}

async function* eventsOf(stream: Readable, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const stop = (): void => void stream.destroy()
  signal.addEventListener('abort', stop)
  try {
    for await (const event of jsonLines(stream)) {
      const { Type, Action, Actor } = event as {
        Type?: string
        Action?: string
        Actor?: { ID?: string; Attributes?: Labels }
      }
      yield { type: Type ?? '', action: Action ?? '', id: Actor?.ID ?? '', labels: Actor?.Attributes ?? {} }
    }
  } catch (error) {
    if (!signal.aborted) throw engineErrorOf(error)
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

async function* jsonLines(stream: Readable): AsyncGenerator<{ readonly [name: string]: unknown }> {
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) {
    const lines = (rest + (chunk as string)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line)
  }
  if (rest.trim() !== '') yield JSON.parse(rest)
}

/** Output of a container without a terminal comes in frames: stream, three zeros, length (32 bit, big-endian). */
const withoutHeaders = (framed: Buffer): Buffer => {
  const parts: Buffer[] = []
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4)
    parts.push(framed.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return Buffer.concat(parts)
}
