/**
 * The bare engine's side with Docker: what `docker run -d --init --user … --memory … --cpus … -p 127.0.0.1::8080 -v …`
 * asks of it, over its API and so without the time of a command line, and a probe until the port answers.
 */
import { randomUUID } from 'node:crypto'
import Docker from 'dockerode'
import { addressOf } from '../../../../agents/docker/engine.ts'
import type { Bench } from '../../bench.ts'
import { answering } from './answering.ts'
import { type Begun, type Side, sideOf } from './side.ts'
import { ARGS, COMMAND, CPU_MILLIS, HOME, IMAGE, MEMORY_MIB, PORT, USER } from './template.ts'

/** As many as the agent starts at a time. */
export const AT_ONCE = 16

export const bareDocker = async (bench: Bench, host: string): Promise<Side> => {
  const docker = new Docker(addressOf(host))
  const mark = randomUUID().slice(0, 8)
  const network = `streamspace-bench-${mark}`
  const label = { 'streamspace-bench': mark }
  const made = await docker.createNetwork({ Name: network, Driver: 'bridge' })
  bench.ends('the bare containers', async () => {
    const filters = JSON.stringify({ label: [`streamspace-bench=${mark}`] })
    for (const { Id } of await docker.listContainers({ all: true, filters }))
      await docker.getContainer(Id).remove({ force: true, v: true })
    await made.remove()
  })
  const answersAt = answering(bench)
  let number = 0

  const begin = async (): Promise<Begun> => {
    number += 1
    const name = `${network}-${number}`
    const inside = `${PORT}/tcp`
    const container = await docker.createContainer({
      name,
      Image: IMAGE,
      Entrypoint: [...COMMAND],
      Cmd: [...ARGS],
      User: `${USER}:${USER}`,
      Labels: label,
      ExposedPorts: { [inside]: {} },
      HostConfig: {
        NetworkMode: network,
        Mounts: [{ Type: 'volume', Source: name, Target: HOME }],
        PortBindings: { [inside]: [{ HostIp: '127.0.0.1', HostPort: '' }] },
        NanoCpus: CPU_MILLIS * 1_000_000,
        Memory: MEMORY_MIB * 1024 * 1024,
        MemorySwap: MEMORY_MIB * 1024 * 1024,
        Init: true,
      },
    })
    await container.start()
    const { NetworkSettings } = await container.inspect()
    const port = Number(NetworkSettings.Ports[inside]?.[0]?.HostPort)
    const remove = async (): Promise<void> => {
      await container.remove({ force: true })
      await docker.getVolume(name).remove()
    }
    return { answers: () => answersAt('127.0.0.1', port), remove }
  }

  return sideOf(begin, AT_ONCE)
}
