/** The Docker platform for the conformance suite. */
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { homeVolume, label } from '../../../agents/docker/names.ts'
import { steps } from '../../../agents/docker/session.ts'
import type { WireSpec } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { AgentProcess } from '../../support/agent-process.ts'
import { BUSYBOX, type DockerEngine, dockerEngine, freePool, needsDocker } from '../../support/docker-engine.ts'
import type { Place, PlatformUnderTest } from './platform-under-test.ts'

const program = (script: string): Partial<WireSpec> => ({
  container: { image: BUSYBOX, command: ['sh', '-c'], args: [script], user: 1000 },
  // Of a machine that does other things beside: how long a start may take is tested where it is short.
  startTimeoutSeconds: 180,
})

/** The one file of an archive as an engine gives it: its content begins after a header of 512 bytes (POSIX ustar). */
const contentOf = async (archive: Readable): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of archive) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  const size = Number.parseInt(bytes.subarray(124, 135).toString('ascii'), 8)
  return bytes.subarray(512, 512 + size).toString('utf8')
}

const containersOf = (docker: Docker, labels: readonly string[]) =>
  docker.listContainers({ all: true, filters: JSON.stringify({ label: labels }) })

export const dockerPlace = async (
  engine: DockerEngine,
  agentId = `agent-${randomBytes(4).toString('hex')}`,
): Promise<Place> => {
  const { docker, host } = engine
  const subnetPool = freePool()
  const agents: AgentProcess[] = []
  const agentIds = new Set([agentId])
  const mine = async (of: Iterable<string> = agentIds) =>
    (await Promise.all([...of].map((id) => containersOf(docker, [`${label.agent}=${id}`])))).flat()
  const volumes = async (of: Iterable<string> = agentIds) => {
    const owners = new Set(of)
    const { Volumes } = await docker.listVolumes()
    return (Volumes ?? []).filter(({ Labels }) =>
      owners.has((Labels as { [name: string]: string } | null)?.[label.agent] ?? ''),
    )
  }
  const networks = async (of: Iterable<string> = agentIds) => {
    const owners = new Set(of)
    return (await docker.listNetworks()).filter(({ Labels }) => owners.has(Labels?.[label.agent] ?? ''))
  }

  return {
    agent: async ({ dieAt, agentId: id = agentId } = {}) => {
      const agent = new AgentProcess(null)
      agents.push(agent)
      agentIds.add(id)
      await agent.open(
        {
          platform: 'docker',
          settings: { agentId: id, dockerHost: host, subnetPool, backoff: { baseMs: 20, capMs: 100 } },
        },
        dieAt,
      )
      return agent
    },
    script: program,
    server: (script) => ({
      ...program(`${script}; exec httpd -f -p 8080 -h "$HOME"`),
      ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    }),
    removeWorkload: async (sessionId) => {
      for (const { Id } of await containersOf(docker, [`${label.session}=${sessionId}`, `${label.role}=workload`]))
        await docker.getContainer(Id).remove({ force: true })
    },
    homeFile: async (sessionId, name) => {
      const [anchor] = await containersOf(docker, [`${label.session}=${sessionId}`, `${label.role}=session`])
      const container = docker.getContainer(anchor?.Id ?? '')
      const { Mounts } = await container.inspect()
      const home = Mounts.find((mount) => mount.Name === homeVolume(sessionId))?.Destination
      return contentOf((await container.getArchive({ path: `${home}/${name}` })) as Readable)
    },
    left: async () => [
      ...(await mine())
        .filter(({ Labels }) => Labels[label.role] !== 'agent')
        .map(({ Names }) => `container ${Names[0]}`),
      ...(await volumes()).map(({ Name }) => `volume ${Name}`),
    ],
    picture: async (of) =>
      JSON.stringify([
        (await mine([of])).map(({ Id, Names, State }) => [Id, Names, State]).sort(),
        (await volumes([of]))
          .map(({ Name, CreatedAt }: { Name: string; CreatedAt?: string }) => [Name, CreatedAt])
          .sort(),
        (await networks([of])).map(({ Id, Name }) => [Id, Name]).sort(),
      ]),
    bystander: async () => {
      const container = await docker.createContainer({
        Image: BUSYBOX,
        Cmd: ['sleep', '1000'],
        Labels: { 'somebody.else/agent': agentId },
        HostConfig: { NetworkMode: 'none' },
      })
      await container.start()
      return {
        isThere: async () => (await container.inspect()).State.Running,
        remove: () => container.remove({ force: true }),
      }
    },
    close: async () => {
      for (const { child, kill9 } of agents.map((agent) => ({ child: agent.child, kill9: () => agent.kill9() })))
        if (child.exitCode === null && child.signalCode === null) await kill9()
      for (const { Id } of await mine())
        await docker
          .getContainer(Id)
          .remove({ force: true })
          .catch(() => {})
      for (const { Name } of await volumes())
        await docker
          .getVolume(Name)
          .remove({ force: true })
          .catch(() => {})
      for (const { Id } of await networks())
        await docker
          .getNetwork(Id)
          .remove()
          .catch(() => {})
    },
  }
}

export const sessionsOf = async (engine: DockerEngine, sessionId: SessionId) =>
  containersOf(engine.docker, [`${label.session}=${sessionId}`])

export const dockerUnderTest: PlatformUnderTest = {
  name: 'docker',
  needs: needsDocker,
  place: async () => dockerPlace(await dockerEngine()),
  steps,
  fence: 'takes_over',
  recoversFromNothing: true,
  removedReason: 'removed_outside',
  atOnce: 3,
  openMs: 60_000,
  startMs: 1_500,
  patienceMs: 8_000,
}
