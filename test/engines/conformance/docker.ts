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
  const mine = async () =>
    (await Promise.all([...agentIds].map((id) => containersOf(docker, [`${label.agent}=${id}`])))).flat()
  const volumes = async () => {
    const { Volumes } = await docker.listVolumes()
    return (Volumes ?? []).filter(({ Labels }) =>
      agentIds.has((Labels as { [name: string]: string } | null)?.[label.agent] ?? ''),
    )
  }
  const networks = async () =>
    (await docker.listNetworks()).filter(({ Labels }) => agentIds.has(Labels?.[label.agent] ?? ''))

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
    picture: async () =>
      JSON.stringify([
        (await mine()).map(({ Id, Names, State }) => [Id, Names, State]).sort(),
        (await volumes()).map(({ Name, CreatedAt }: { Name: string; CreatedAt?: string }) => [Name, CreatedAt]).sort(),
        (await networks()).map(({ Id, Name }) => [Id, Name]).sort(),
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
  startMs: 1_500,
}
