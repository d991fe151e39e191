/** A Docker agent within the test's own process, on the engine of the run; everything of it is removed afterwards. */
import { randomUUID } from 'node:crypto'
import type Docker from 'dockerode'
import { createDockerPlatform, type DockerPlatformOptions } from '../../../agents/docker/platform.ts'
import type { DockerSettings } from '../../../agents/docker/settings.ts'
import type { Desired, WireObserved, WireSpec } from '../../../agents/protocol.ts'
import type { Applied, Platform, PlatformReport } from '../../../agents/runtime/platform.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { BUSYBOX, type DockerEngine, dockerEngine } from '../../support/docker-engine.ts'
import { eventually, PATIENCE_MS } from '../../support/eventually.ts'

export const aSessionId = (): SessionId => randomUUID() as SessionId
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** A shell script of busybox as a session's program, in its home. */
export const script = (text: string, more: Partial<WireSpec> = {}): Partial<WireSpec> => ({
  container: { image: BUSYBOX, command: ['sh', '-c'], args: [text], user: 1000 },
  ...more,
})

/** Serves its home on port 8080. */
export const site = (more: Partial<WireSpec> = {}): Partial<WireSpec> =>
  script('echo hello >index.html; exec httpd -f -p 8080 -h "$HOME"', {
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    probe: { type: 'http', path: '/' },
    ...more,
  })

type Wanted = Partial<Omit<Desired, 'spec'>> & { readonly generation?: number }

export type DockerAgent = {
  readonly platform: Platform
  readonly reports: PlatformReport[]
  readonly progress: string[]
  readonly degraded: (string | null)[]
  readonly apply: (id: SessionId, spec: Partial<WireSpec>, wanted?: Wanted, signal?: AbortSignal) => Promise<Applied>
  /** Applies, and fails the test unless it runs then. */
  readonly run: (id: SessionId, spec: Partial<WireSpec>, wanted?: Wanted) => Promise<WireObserved>
  readonly reported: (id: SessionId, status: string, within?: number) => Promise<PlatformReport>
  readonly close: () => Promise<void>
}

export type Place = DockerEngine & {
  readonly docker: Docker
  readonly agentId: string
  readonly agent: (settings?: Partial<DockerSettings>, options?: DockerPlatformOptions) => Promise<DockerAgent>
  /** All containers with our labels of a session, however they are. */
  readonly containersOf: (id: SessionId) => Promise<readonly Docker.ContainerInfo[]>
  /** Ends all agents and removes everything that they made. */
  readonly close: () => Promise<void>
}

/** What the agent asked the engine to remove may go in this very moment. */
const unlessGone = (error: { readonly statusCode?: number }): void => {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error
}

export const place = async (engine?: DockerEngine): Promise<Place> => {
  const { host, docker } = engine ?? (await dockerEngine())
  const mark = randomUUID().slice(0, 8)
  const agents: DockerAgent[] = []

  const agent: Place['agent'] = async (settings = {}, options = {}) => {
    const platform = createDockerPlatform(
      { agentId: `edge-${mark}`, dockerHost: host, backoff: { baseMs: 20, capMs: 100 }, ...settings },
      quiet,
      options,
    )
    const reports: PlatformReport[] = []
    const progress: string[] = []
    const degraded: (string | null)[] = []
    await platform.open({
      report: (report) => void reports.push(report),
      activity: () => {},
      degraded: (reason) => void degraded.push(reason),
    })
    const apply: DockerAgent['apply'] = (id, spec, wanted = {}, signal = new AbortController().signal) => {
      const { generation = 1, ...desired } = wanted
      return platform.apply(
        {
          sessionId: id,
          generation,
          desired: {
            state: 'running',
            incarnation: 0,
            persistentHome: true,
            orgId: `org-${mark}`,
            userId: 'user-1',
            name: 'a-session',
            template: { name: 'a-template', version: 1 },
            ...desired,
            spec: {
              resources: { cpuMillis: 500, memoryMib: 64 },
              env: {},
              startTimeoutSeconds: 20,
              stopGraceSeconds: 1,
              home: { path: '/home/user' },
              ...spec,
            } as WireSpec,
          },
        },
        { signal, progress: (reason, message) => void progress.push(`${reason}: ${message}`) },
      )
    }
    const made: DockerAgent = {
      platform,
      reports,
      progress,
      degraded,
      apply,
      run: async (id, spec, wanted) => {
        const applied = await apply(id, spec, wanted)
        if (applied.kind !== 'applied' || applied.observed?.status !== 'running')
          throw new Error(`it does not run: ${JSON.stringify(applied)}`)
        return applied.observed
      },
      reported: (id, status, within = PATIENCE_MS) =>
        eventually(
          () => {
            const report = reports.findLast((one) => one.sessionId === id && one.status === status)
            if (report === undefined) throw new Error(`not reported; so far: ${JSON.stringify(reports)}`)
            return report
          },
          { within },
        ),
      close: () => platform.close(),
    }
    agents.push(made)
    return made
  }

  const ours = async () => {
    const all = await docker.listContainers({ all: true, filters: JSON.stringify({ label: ['streamspace.io/agent'] }) })
    return all.filter(({ Labels }) => Labels['streamspace.io/agent']?.endsWith(mark))
  }

  return {
    host,
    docker,
    agentId: `edge-${mark}`,
    agent,
    containersOf: async (id) =>
      docker.listContainers({ all: true, filters: JSON.stringify({ label: [`streamspace.io/session=${id}`] }) }),
    close: async () => {
      for (const one of agents) await one.close()
      for (const { Id } of await ours())
        await docker.getContainer(Id).remove({ force: true, v: true }).catch(unlessGone)
      const { Volumes } = await docker.listVolumes()
      for (const { Name, Labels } of Volumes)
        if (Labels?.['streamspace.io/agent']?.endsWith(mark)) await docker.getVolume(Name).remove()
      for (const { Id, Labels } of await docker.listNetworks())
        if (Labels?.['streamspace.io/agent']?.endsWith(mark)) await docker.getNetwork(Id).remove()
    },
  }
}

/** What a command of busybox's says inside a session's container, and how it ended. */
export const inside = async (
  { docker }: Pick<Place, 'docker'>,
  containerId: string,
  command: readonly string[],
): Promise<{ readonly exitCode: number | null; readonly output: string }> => {
  const exec = await docker
    .getContainer(containerId)
    .exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true })
  const stream = await exec.start({})
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  const { ExitCode } = await exec.inspect()
  return { exitCode: ExitCode, output: Buffer.concat(chunks).toString('utf8') }
}
