/** The parts of the Docker platform that can be looked at without an engine. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { addressOf } from '../../../agents/docker/engine.ts'
import { authFor, otherArchitecture, registryOf, whyNotPulled } from '../../../agents/docker/image.ts'
import {
  anchorLabels,
  anchorName,
  anchorOf,
  isWorkloadName,
  label,
  nameFor,
  newToken,
  phases,
  sessionOf,
  workloadName,
} from '../../../agents/docker/names.ts'
import { dockerSettingsFrom } from '../../../agents/docker/settings.ts'
import { freeSubnets, parsePool } from '../../../agents/docker/subnets.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

const anchor = (name: string, labels: { readonly [name: string]: string }) => anchorOf({ id: 'x', name, labels })

describe('the parts of the Docker platform', () => {
  describe('an anchor', () => {
    const id = aSessionId()
    const { desired } = target(id, {})
    const labels = anchorLabels('edge-1', id, 7, desired, 'secret')

    it('says in its name and labels all that a new agent has to know', () => {
      const progressOf = fc.record({
        phase: fc.constantFrom(...phases),
        reason: fc.stringMatching(/^[a-z_]{0,20}$/),
        restarts: fc.nat(10_000),
        retries: fc.nat(10_000),
      })
      fc.assert(
        fc.property(progressOf, (progress) => {
          const name = anchorName(newToken(), id, 7, progress)
          // What the engine takes for a name.
          expect(name).to.match(/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/)
          const read = anchor(nameFor(newToken(), name), labels)
          expect(read).to.deep.include({ sessionId: id, generation: 7, desired, accessToken: 'secret', progress })
        }),
      )
    })

    it('that somebody made up, or edited, is none', () => {
      const name = anchorName(newToken(), id, 7, { phase: 'up', reason: '', restarts: 0, retries: 0 })
      expect(anchor('streamspace-somebody', labels)).to.equal(null)
      expect(anchor(name.replace('-up-', '-flying-'), labels)).to.equal(null)
      for (const changed of [
        { [label.session]: 'not-a-session' },
        { [label.generation]: '-7' },
        { [label.generation]: '1e9' },
        { [label.desired]: '{"state":' },
        { [label.desired]: 'null' },
        { [label.desired]: '{}' },
      ])
        expect(anchor(name, { ...labels, ...changed }), JSON.stringify(changed)).to.equal(null)
    })

    it('has a name of its owner, which another owner does not know', () => {
      const [mine, yours] = [newToken(), newToken()]
      expect([mine, yours].map((token) => isWorkloadName(workloadName(token, id, 3), id, 3))).to.deep.equal([
        true,
        true,
      ])
      for (const other of [
        `streamspace-${mine}-${id}-workload-4`,
        `streamspace-x-${id}-workload-3`,
        'amazing_noether',
        '',
      ])
        expect(isWorkloadName(other, id, 3), other).to.equal(false)
      expect(nameFor(yours, workloadName(mine, id, 3))).to.equal(workloadName(yours, id, 3))
      expect(sessionOf({ [label.session]: id, [label.generation]: '3' })).to.deep.equal({
        sessionId: id,
        generation: 3,
      })
    })
  })

  describe('subnets', () => {
    it('are taken from a pool that is a range of addresses', () => {
      expect(parsePool('10.213.0.0/16')).to.deep.equal({ address: 0x0a_d5_00_00, prefix: 16 })
      for (const wrong of [
        '',
        '10.0.0.0',
        '10.0.0.0/7',
        '10.0.0.0/25',
        '10.0.0.1/24',
        '10.0.0.256/24',
        'x/16',
        '10.0.0.0/16/1',
      ])
        expect(parsePool(wrong), wrong).to.equal(undefined)
    })

    it('overlap with nothing that is taken, and there are as many as fit', () => {
      const pool = { address: 0x0a_d5_00_00, prefix: 16 }
      expect([...freeSubnets(pool, [])]).to.have.length(256)
      const free = [
        ...freeSubnets(pool, ['10.213.0.0/23', '10.213.3.128/25', '192.168.0.0/16', 'fd00::/64', 'nonsense']),
      ]
      expect(free.slice(0, 3)).to.deep.equal(['10.213.2.0/24', '10.213.4.0/24', '10.213.5.0/24'])
      expect([...freeSubnets(pool, ['10.0.0.0/8'])]).to.deep.equal([])
      expect([...freeSubnets({ address: 0x0a_d5_00_00, prefix: 24 }, [])]).to.deep.equal(['10.213.0.0/24'])
    })
  })

  describe('an image', () => {
    it('has a registry', () => {
      expect(registryOf('busybox')).to.equal('docker.io')
      expect(registryOf('linuxserver/code-server')).to.equal('docker.io')
      expect(registryOf('ghcr.io/a/b:1')).to.equal('ghcr.io')
      expect(registryOf('localhost/a')).to.equal('localhost')
      expect(registryOf('registry:5000/a')).to.equal('registry:5000')
    })

    for (const [words, reason] of [
      ['manifest for busybox:nope not found: manifest unknown: manifest unknown', 'image_not_found'],
      ['pull access denied for x, repository does not exist or may require docker login: denied', 'image_pull_failed'],
      ['unauthorized: incorrect username or password', 'image_pull_failed'],
      ['no matching manifest for linux/arm64/v8 in the manifest list entries', 'image_pull_failed'],
      ['Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host', 'image_pull_failed'],
      ['toomanyrequests: You have reached your pull rate limit', 'image_pull_failed'],
    ] as const)
      it(`that cannot be pulled (${words.slice(0, 40)}…) is ${reason}, in the registry's own words`, () => {
        const said = whyNotPulled('busybox:nope', words)
        expect(said.reason).to.equal(reason)
        expect(said.message).to.include(words).and.to.include('busybox:nope')
      })

    it('for another architecture is told with both, and only where both are known', () => {
      expect(otherArchitecture('busybox', 'arm64', 'amd64')).to.match(/busybox is made for arm64.*runs on amd64/)
      for (const [its, engines] of [
        ['amd64', 'amd64'],
        ['', 'amd64'],
        [undefined, 'amd64'],
        ['arm64', null],
      ] as const)
        expect(otherArchitecture('busybox', its, engines)).to.equal(null)
    })

    it('is pulled with the credentials of its registry, from a file as `docker login` writes it', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'docker-auth-'))
      try {
        const file = join(folder, 'config.json')
        const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') })
        writeFileSync(
          file,
          JSON.stringify({ auths: { 'ghcr.io': auth('me:a:b'), 'https://index.docker.io/v1/': auth('hub:pw') } }),
        )
        expect(await authFor(file, 'ghcr.io/a/b')).to.include({ username: 'me', password: 'a:b' })
        expect(await authFor(file, 'busybox')).to.include({ username: 'hub', password: 'pw' })
        expect(await authFor(file, 'quay.io/a')).to.equal(null)
        expect(await authFor(undefined, 'busybox')).to.equal(null)
        const missing = await authFor(join(folder, 'none'), 'busybox').catch((error: Error) => error.message)
        expect(missing).to.include('STREAMSPACE_DOCKER_AUTH_FILE cannot be read')
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  })

  describe('the settings', () => {
    it('are what the environment says, or defaults', () => {
      expect(dockerSettingsFrom({}, 'edge-1')).to.deep.equal({ _tag: 'Right', right: { agentId: 'edge-1' } })
      const read = dockerSettingsFrom(
        {
          DOCKER_HOST: 'tcp://127.0.0.1:2375',
          STREAMSPACE_DOCKER_PUBLISH_ADDRESS: '10.0.0.5',
          STREAMSPACE_ALLOWED_MOUNTS: '/srv/data/:/mnt',
          STREAMSPACE_DOCKER_SUBNETS: '10.99.0.0/16',
          STREAMSPACE_MAX_SESSIONS: '7',
        },
        'edge-1',
      )
      expect(read).to.have.nested.property('right.maxSessions', 7)
      expect(read).to.have.nested.property('right.publishAddress', '10.0.0.5')
      expect(read).to.have.deep.nested.property('right.allowedMounts', ['/srv/data', '/mnt'])
    })

    it('that are wrong are all named', () => {
      const read = dockerSettingsFrom(
        {
          DOCKER_HOST: 'ssh://somewhere',
          STREAMSPACE_DOCKER_PUBLISH_ADDRESS: 'everywhere',
          STREAMSPACE_ALLOWED_MOUNTS: '/srv:../etc',
          STREAMSPACE_DOCKER_SUBNETS: '10.0.0.0/30',
          STREAMSPACE_DOCKER_PIDS_LIMIT: '-1',
        },
        'edge-1',
      )
      expect(read._tag === 'Left' ? read.left.map((line) => line.split(' ')[0]) : []).to.deep.equal([
        'DOCKER_HOST',
        'STREAMSPACE_DOCKER_PUBLISH_ADDRESS',
        'STREAMSPACE_ALLOWED_MOUNTS',
        'STREAMSPACE_DOCKER_SUBNETS',
        'STREAMSPACE_DOCKER_PIDS_LIMIT',
      ])
      const everywhere = dockerSettingsFrom({ STREAMSPACE_DOCKER_PUBLISH_ADDRESS: '0.0.0.0' }, 'edge-1')
      expect(JSON.stringify(everywhere)).to.include('STREAMSPACE_DOCKER_ADVERTISE_HOST must be set')
    })

    it('an engine is reached by a socket or an address', () => {
      expect(addressOf('unix:///run/docker.sock', {})).to.deep.equal({ socketPath: '/run/docker.sock' })
      expect(addressOf('tcp://host:1234', {})).to.deep.equal({ host: 'host', port: 1234, protocol: 'http' })
      expect(addressOf('https://host', {})).to.deep.equal({ host: 'host', port: 2376, protocol: 'https' })
    })

    it('an engine is spoken to by TLS where the docker CLI would', () => {
      const secured = { DOCKER_TLS_VERIFY: '1' }
      expect(addressOf('tcp://host', secured)).to.deep.equal({ host: 'host', port: 2376, protocol: 'https' })
      expect(addressOf('tcp://host:1234/', secured)).to.deep.equal({ host: 'host', port: 1234, protocol: 'https' })
      expect(addressOf('tcp://host:2376', {})).to.deep.equal({ host: 'host', port: 2376, protocol: 'https' })
      expect(addressOf('tcp://host', { DOCKER_TLS_VERIFY: '' })).to.deep.include({ port: 2375, protocol: 'http' })
      expect(addressOf('http://host', secured)).to.deep.include({ protocol: 'http' })
    })
  })
})
