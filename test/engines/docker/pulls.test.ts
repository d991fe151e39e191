/** Images that have to be pulled, from a registry on this machine: how it goes on, and why it does not. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { DockerSettings } from '../../../agents/docker/settings.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { AgentProcess } from '../../support/agent-process.ts'
import { busyboxFiles, type DockerEngine, dockerEngine, freePool, needsDocker } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, target } from '../../support/process-agent.ts'
import { type OfferedImage, type Registry, startRegistry } from '../../support/registry.ts'

const MIB = 1024 * 1024

describe('an image that is pulled', function () {
  this.timeout(120_000)
  const agentId = `pulls-${randomBytes(4).toString('hex')}`
  const made: string[] = []
  const sessions: SessionId[] = []
  let engine: DockerEngine
  let registry: Registry
  let locked: Registry
  let agent: AgentProcess
  let layer: Buffer
  let folder: string | undefined

  before(async function () {
    needsDocker.call(this)
    engine = await dockerEngine()
    registry = await startRegistry()
    locked = await startRegistry('me:right')
    const rootfs = mkdtempSync(join(tmpdir(), 'pulls-'))
    folder = rootfs
    await busyboxFiles(rootfs)
    // What does not shrink when it is compressed.
    writeFileSync(join(rootfs, 'ballast'), randomBytes(4 * MIB))
    layer = execFileSync('tar', ['-c', '-C', rootfs, '.'], { maxBuffer: 64 * MIB })
  })
  beforeEach(() => opened({}))
  afterEach(async () => {
    for (const id of sessions.splice(0)) await agent.command(target(id, {}, { generation: 9, state: 'deleted' }))
    await agent.close()
  })
  after(async () => {
    if (folder === undefined) return
    for (const name of made)
      await engine.docker
        .getImage(name)
        .remove({ force: true })
        .catch(() => {})
    for (const { Id } of await ours()) await engine.docker.getContainer(Id).remove({ force: true })
    for (const { Id, Labels } of await engine.docker.listNetworks())
      if (Labels?.['streamspace.io/agent'] === agentId)
        await engine.docker
          .getNetwork(Id)
          .remove()
          .catch(() => {})
    await registry.close()
    await locked.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const ours = () => {
    const filters = JSON.stringify({ label: [`streamspace.io/agent=${agentId}`] })
    return engine.docker.listContainers({ all: true, filters })
  }
  const opened = async (more: Partial<DockerSettings>): Promise<void> => {
    agent = new AgentProcess(null)
    const settings = { agentId, dockerHost: engine.host, subnetPool: freePool(), ...more }
    await agent.open({ platform: 'docker', settings })
  }
  const offered = (
    image: Omit<OfferedImage, 'layer'>,
    by = registry,
  ): { readonly image: string; readonly digest: string } => {
    const name = `${by.host}/${image.name}`
    made.push(name)
    return { image: name, digest: by.offer({ ...image, layer }) }
  }
  const start = (image: string, startTimeoutSeconds = 20) => {
    const id = aSessionId()
    sessions.push(id)
    const container = { image, command: ['sleep', '1000'] }
    return { id, result: agent.command(target(id, { container, startTimeoutSeconds })) }
  }

  it('says how far it is, takes longer than a start may because it advances, and is shown with its digest', async () => {
    const { image, digest } = offered({ name: 'some/slow:1', takesMs: 5_000 })
    const result = await start(image, 3).result
    expect(result, JSON.stringify(result)).to.include({ outcome: 'applied' })
    expect(result.observed).to.include({ status: 'running', image, imageDigest: digest })
    const told = agent.progress.filter((line) => line.startsWith('pulling_image'))
    expect(told.length).to.be.greaterThan(2)
    expect(told.join('\n')).to.match(/[1-4] of \d MiB/)
  })

  it('with the same content and another name is pulled by its digest', async () => {
    const { image, digest } = offered({ name: 'some/exact:1' })
    const byDigest = `${image.slice(0, image.lastIndexOf(':'))}@${digest}`
    made.push(byDigest)
    const result = await start(byDigest).result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'running', imageDigest: digest })
  })

  it('and is not there fails at once: image_not_found', async () => {
    const result = await start(`${registry.host}/some/missing:1`).result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'image_not_found' })
    expect(result.error).to.include({ retryable: false })
    expect(result.error?.message).to.include('some/missing:1')
  })

  it('without credentials, or with wrong ones, says which setting they come from', async () => {
    const { image } = offered({ name: 'some/private:1' }, locked)
    const result = await start(image).result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'image_pull_failed' })
    expect(result.error?.message).to.include('STREAMSPACE_DOCKER_AUTH_FILE')
  })

  it('with the credentials of the settings runs', async () => {
    const { image } = offered({ name: 'some/private:2' }, locked)
    const file = join(folder ?? '', 'config.json')
    writeFileSync(
      file,
      JSON.stringify({ auths: { [locked.host]: { auth: Buffer.from('me:right').toString('base64') } } }),
    )
    await agent.close()
    await opened({ registryAuthFile: file })
    const result = await start(image).result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'running' })
  })

  it('of another architecture only says so', async () => {
    const { image } = offered({ name: 'some/foreign:1', architecture: 's390x', asList: true })
    const result = await start(image).result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'image_pull_failed' })
    expect(result.error?.message).to.include('architecture')
  })

  it('from a registry that is not there says where it was looked for', async () => {
    const result = await start('127.0.0.1:1/some/thing:1').result
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'image_pull_failed' })
    expect(result.error?.message).to.include('127.0.0.1:1')
  })

  it('is not waited for by a stop that comes meanwhile', async () => {
    const { image } = offered({ name: 'some/slow:2', takesMs: 20_000 })
    const { id, result } = start(image, 60)
    await eventually(() => expect(agent.progress.join('\n')).to.include('some/slow:2'))
    const stopped = await agent.command(target(id, {}, { generation: 2, state: 'stopped' }))
    expect(stopped, JSON.stringify(stopped)).to.include({ outcome: 'applied' })
    expect((await result).outcome).to.equal('superseded')
  })
})
