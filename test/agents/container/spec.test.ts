import { expect } from 'chai'
import { containerEnvironment } from '../../../agents/container/environment.ts'
import { readContainerSpec } from '../../../agents/container/spec.ts'
import type { WireSpec } from '../../../agents/protocol.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

const image = 'docker.io/library/busybox:1.36'

const read = (container: unknown, more: Partial<WireSpec> = {}, allowedMounts: readonly string[] = []) =>
  readContainerSpec(
    target(aSessionId(), { ...more, container: container as NonNullable<WireSpec['container']> }).desired,
    allowedMounts,
  )

const specOf = (...given: Parameters<typeof read>) => {
  const result = read(...given)
  if (result.kind === 'refused') throw new Error(`refused: ${result.message}`)
  return result.spec
}

const refusalOf = (...given: Parameters<typeof read>): string => {
  const result = read(...given)
  if (result.kind === 'spec') throw new Error(`accepted: ${JSON.stringify(result.spec)}`)
  return result.message
}

describe('the container part of a spec', () => {
  it('is read with what it leaves out', () => {
    expect(specOf({ image })).to.deep.equal({
      image,
      command: null,
      args: null,
      user: null,
      env: {},
      capabilities: [],
      readOnlyRootFilesystem: false,
      mounts: [],
      ports: [],
      home: { path: '/home/user', sizeMib: 1024 },
    })
  })

  it('is read with everything in it', () => {
    const spec = specOf(
      {
        image,
        command: ['httpd'],
        args: ['-f'],
        user: 0,
        env: { LANG: 'C.UTF-8' },
        security: { capabilities: ['CAP_CHOWN', 'net_bind_service'], readOnlyRootFilesystem: true },
        mounts: [{ hostPath: '/srv//data/./x', path: '/data', readOnly: true }],
      },
      { ports: [{ name: 'http', port: 8080, protocol: 'http' }], home: { path: '/root/', sizeMib: 5 } },
      ['/srv/data/x'],
    )
    expect(spec).to.deep.include({
      command: ['httpd'],
      user: 0,
      capabilities: ['CHOWN', 'NET_BIND_SERVICE'],
      readOnlyRootFilesystem: true,
      mounts: [{ hostPath: '/srv/data/x', path: '/data', readOnly: true }],
      home: { path: '/root', sizeMib: 5 },
    })
  })

  for (const name of [
    'busybox',
    'busybox:1.36',
    'ghcr.io/a/b-c/d__e:v1.0_x',
    'localhost:5000/a',
    `busybox@sha256:${'a'.repeat(64)}`,
    'lscr.io/linuxserver/code-server:latest',
  ])
    it(`takes the image ${name.slice(0, 60)}`, () => expect(specOf({ image: name }).image).to.equal(name))

  for (const name of [
    '',
    'Not An Image',
    'UPPER',
    'a/B',
    'a:b:c',
    '-rf',
    '../etc',
    'a//b',
    'busybox@sha256:short',
    'a\nb',
    'x\0y',
    7,
    null,
    undefined,
    'a'.repeat(600),
    'https://registry/a',
  ])
    it(`refuses ${JSON.stringify(name)?.slice(0, 40)} as an image`, () =>
      expect(refusalOf({ image: name })).to.include('is not the name of an image'))

  for (const port of [-1, 0, 65_536, 1.5, Number.NaN])
    it(`refuses the port ${port}`, () =>
      expect(refusalOf({ image }, { ports: [{ name: 'http', port }] })).to.include('1 to 65535'))

  it('refuses a port without a number, and two of one name', () => {
    expect(refusalOf({ image }, { ports: [{ name: 'http' }] })).to.include('has no number')
    const twice = { name: 'http', port: 80 }
    expect(refusalOf({ image }, { ports: [twice, twice] })).to.include('two ports')
  })

  for (const path of ['/', '//', '/./', '..', '/..', '/home/../etc', 'home', '', '/a\0b', `/${'a'.repeat(300)}`])
    it(`refuses ${JSON.stringify(path).slice(0, 30)} as the home`, () =>
      expect(refusalOf({ image }, { home: { path } })).to.include('must be an absolute path below /'))

  for (const name of ['A=B', '', '1A', 'A B', 'A\0'])
    it(`refuses ${JSON.stringify(name)} as the name of a variable`, () =>
      expect(refusalOf({ image, env: { [name]: 'x' } })).to.include('cannot be the name of an environment variable'))

  it('refuses a variable with NUL, one that is no text, and what is no object', () => {
    expect(refusalOf({ image, env: { A: 'a\0b' } })).to.include('without NUL')
    expect(refusalOf({ image, env: { A: 1 } })).to.include('must be a text')
    expect(refusalOf({ image, env: ['A'] })).to.include('must be an object')
    expect(refusalOf({ image }, { env: { 'A=': 'x' } })).to.include('cannot be the name')
  })

  it('takes two hundred variables, refuses a megabyte of them, too many, and one that no program could be given', () => {
    const many = (count: number, value: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`NAME_${index}`, value]))
    expect(Object.keys(specOf({ image, env: many(200, 'x') }).env)).to.have.length(200)
    expect(refusalOf({ image, env: many(200, 'x'.repeat(6_000)) })).to.include('bytes')
    expect(refusalOf({ image, env: many(500, 'x') })).to.include('500 values')
    expect(refusalOf({ image, env: { BIG: 'x'.repeat(140_000) } })).to.include('BIG is longer')
  })

  it('refuses mounts of the host but the paths that the agent allows, and none below them', () => {
    const mount = (hostPath: unknown) => ({ image, mounts: [{ hostPath, path: '/data' }] })
    expect(refusalOf(mount('/etc'))).to.include('STREAMSPACE_ALLOWED_MOUNTS')
    expect(refusalOf(mount('/srv/database'), {}, ['/srv/data'])).to.include('allowed: /srv/data')
    expect(refusalOf(mount('/srv/data/link'), {}, ['/srv/data'])).to.include('allowed: /srv/data')
    expect(refusalOf(mount('/srv/data/../../etc'), {}, ['/srv/data'])).to.include('without ..')
    expect(refusalOf(mount('/'), {}, ['/srv'])).to.include('below /')
    expect(refusalOf(mount(7), {}, ['/srv'])).to.include('absolute path')
    expect(refusalOf({ image, mounts: 'x' })).to.include('must be a list')
    expect(specOf(mount('/srv/data'), {}, ['/srv/data']).mounts[0]?.hostPath).to.equal('/srv/data')
  })

  it('refuses two things in one place, which no engine mounts', () => {
    const mounted = (...paths: string[]) => ({ image, mounts: paths.map((path) => ({ hostPath: '/srv', path })) })
    const refused = (container: object, home = '/home/user') => refusalOf(container, { home: { path: home } }, ['/srv'])
    expect(refused(mounted('/home/user/'))).to.include('the home and /srv of the host cannot both be at /home/user')
    expect(refused(mounted('/data', '/x', '//data'))).to.include('cannot both be at /data')
    const security = { readOnlyRootFilesystem: true }
    expect(refused({ ...mounted('/tmp'), security })).to.include('/tmp')
    expect(refused({ image, security }, '/tmp')).to.include('cannot both be at /tmp')
    expect(specOf(mounted('/tmp', '/home/user/data'), {}, ['/srv']).mounts).to.have.length(2)
  })

  it('refuses the path of a probe that is none, before Node does in the middle of a start', () => {
    const ports = [{ name: 'http', port: 80 }]
    const probing = (path: string) => ({ ports, probe: { type: 'http' as const, path } })
    for (const path of ['', ' ', 'health', '/a b', '/a\n', '/\u0000', '/ü', '/\u2028'])
      expect(refusalOf({ image }, probing(path)), JSON.stringify(path)).to.include('the path of an http probe')
    for (const path of ['/', '/health?x=1&y=%20', '/a/~b'])
      expect(specOf({ image }, probing(path)).ports).to.have.length(1)
  })

  it('refuses capabilities that would leave no boundary, and those that nobody knows', () => {
    for (const capability of ['SYS_ADMIN', 'NET_ADMIN', 'ALL', 'SYS_PTRACE', 'FLY'])
      expect(refusalOf({ image, security: { capabilities: [capability] } }), capability).to.include('is not given')
    expect(refusalOf({ image, security: { capabilities: 'CHOWN' } })).to.include('list of names')
  })

  it('refuses what has another shape', () => {
    expect(refusalOf(undefined)).to.include('spec.container')
    expect(refusalOf({ image, command: 'httpd -f' })).to.include('container.command')
    expect(refusalOf({ image, args: [1] })).to.include('container.args')
    expect(refusalOf({ image, security: 'none' })).to.include('container.security')
    for (const user of [-1, 1.5, 'root', 2 ** 31])
      expect(refusalOf({ image, user }), `${user}`).to.include('container.user')
    expect(refusalOf({ image }, { probe: { type: 'http' } })).to.include('needs a port')
    expect(refusalOf({ image }, { probe: { type: 'tcp', port: 'x' }, ports: [{ name: 'y', port: 1 }] })).to.include(
      'port x',
    )
  })
})

describe('the environment of a session in a container', () => {
  it('has its ports and who it is, which nothing of the template or the session can change', () => {
    const id = aSessionId()
    const env = { PORT: '1', HOME: '/elsewhere', STREAMSPACE_SESSION_ID: 'another', LANG: 'C' }
    const { desired } = target(id, { container: { image }, env, ports: [{ name: 'web-ui', port: 8080 }] })
    const spec = specOf({ image, env: { LANG: 'de', A: '1' } }, { ports: [{ name: 'web-ui', port: 8080 }] })
    expect(containerEnvironment(id, desired, spec, 'secret')).to.deep.equal({
      A: '1',
      LANG: 'C',
      HOME: '/elsewhere',
      PORT: '8080',
      PORT_WEB_UI: '8080',
      STREAMSPACE_SESSION_ID: id,
      STREAMSPACE_USER: 'user-1',
      STREAMSPACE_ACCESS_TOKEN: 'secret',
    })
  })
})
