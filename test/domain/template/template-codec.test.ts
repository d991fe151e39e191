import { expect } from 'chai'
import fc from 'fast-check'
import { decode, type FieldError } from '../../../domain/codec/field-errors.ts'
import { E } from '../../../domain/fp.ts'
import { platformsOf, type TemplateSpec, templateDocumentCodec } from '../../../domain/template/template-codec.ts'
import { aDocument } from '../../support/a-template.ts'

const decoded = (input: unknown) => decode(templateDocumentCodec, input)
const errorsOf = (input: unknown): readonly FieldError[] => {
  const result = decoded(input)
  return E.isLeft(result) ? result.left : []
}
const failing = (input: unknown): readonly string[] => errorsOf(input).map(({ field }) => field)

const process = { command: ['node', 'x.js'] }
const container = { image: 'docker.io/library/busybox:1.36' }
const withSpec = (spec: object) => ({ name: 'x', displayName: 'X', spec: { process, ...spec } })
const withParameter = (parameter: object) => ({ ...aDocument(), parameters: [parameter] })

/** The example of the design, field by field. */
const whole = {
  name: 'static-site',
  displayName: 'Static site',
  description: 'Serves the files of the session’s home',
  category: 'web',
  icon: 'globe',
  tags: ['http'],
  parameters: [
    {
      name: 'title',
      type: 'string',
      default: 'Home',
      required: false,
      maxLength: 80,
      description: 'Shown as the page’s title',
      env: 'SITE_TITLE',
    },
    { name: 'theme', type: 'enum', options: ['light', 'dark'], default: 'light', env: 'SITE_THEME' },
  ],
  resources: { cpuMillis: 250, memoryMib: 128 },
  spec: {
    process: { command: ['node', '${' + 'apps}/static-site.js'] },
    container: {
      image: 'docker.io/library/busybox:1.36',
      command: ['httpd'],
      args: ['-f', '-p', '8080', '-h', '/home/user'],
      user: 1000,
      env: { LANG: 'C.UTF-8' },
      security: { capabilities: ['NET_BIND_SERVICE'], readOnlyRootFilesystem: true },
      mounts: [{ hostPath: '/srv/data', path: '/data', readOnly: true }],
    },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    home: { path: '/home/user', sizeMib: 1024 },
    probe: { type: 'http', port: 'http', path: '/', intervalMs: 500 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 300,
    stopGraceSeconds: 10,
    docker: { network: 'apps' },
    kubernetes: { nodeSelector: { disk: 'ssd' } },
  },
}

describe('a template document', () => {
  it('is decoded as it is written', () => {
    expect(decoded(whole)).to.deep.equal(E.right(whole))
    expect(decoded(aDocument())).to.deep.equal(E.right(aDocument()))
  })

  it('has a name, a name to show and a spec: every field that is missing is named', () => {
    expect(failing({})).to.have.members(['name', 'displayName', 'spec'])
    expect(failing('x')).to.deep.equal([''])
    expect(failing(null)).to.deep.equal([''])
  })

  it('is named by a DNS label', () => {
    for (const name of ['a', 'static-site', '0', 'a'.repeat(63)])
      expect(failing({ ...aDocument(), name })).to.deep.equal([])
    for (const name of ['', '-a', 'a-', 'A', 'a.b', 'a_b', 'ä', 'a\n', 'a'.repeat(64), 7])
      expect(failing({ ...aDocument(), name }), String(name)).to.deep.equal(['name'])
  })

  it('refuses unknown fields by their names, at every depth', () => {
    expect(
      failing({
        ...aDocument(),
        colour: 1,
        resources: { gpu: 1 },
        spec: {
          process: { ...process, shell: true },
          container: { ...container, privileged: true, security: { privileged: true } },
          ports: [{ name: 'http', hostPort: 80 }],
          probe: { type: 'tcp', delay: 1 },
          restart: { policy: 'never', delay: 1 },
          home: { size: 1 },
        },
      }),
    ).to.have.members([
      'colour',
      'resources.gpu',
      'spec.process.shell',
      'spec.container.privileged',
      'spec.container.security.privileged',
      'spec.ports[0].hostPort',
      'spec.probe.delay',
      'spec.restart.delay',
      'spec.home.size',
    ])
    expect(
      failing(JSON.parse('{"name":"x","displayName":"X","spec":{"process":{"command":["x"]},"__proto__":{}}}')),
    ).to.deep.equal(['spec.__proto__'])
  })

  it('is of bounded size, in bytes', () => {
    const envOf = (letter: string, count: number) =>
      withSpec({
        process: {
          ...process,
          env: Object.fromEntries([...Array(8).keys()].map((i) => [`E${i}`, letter.repeat(count)])),
        },
      })
    expect(failing(envOf('x', 30_000))).to.deep.equal([])
    expect(errorsOf(envOf('x', 32_768))).to.deep.equal([{ field: '', message: 'must be at most 262144 bytes of JSON' }])
    expect(failing(envOf('€', 11_000)), 'three bytes each').to.deep.equal([''])
  })
})

describe('the spec of a template', () => {
  it('says for which platforms it is', () => {
    const platforms = (spec: TemplateSpec) => platformsOf(spec)
    expect(platforms({ process })).to.deep.equal(['process'])
    expect(platforms({ container })).to.deep.equal(['docker', 'kubernetes'])
    expect(platforms({ process, container, docker: {} })).to.deep.equal(['process', 'docker', 'kubernetes'])
    expect(platforms({ docker: {}, kubernetes: {} }), 'they only add to a container').to.deep.equal([])
    expect(platforms({ nomad: {}, ports: [] })).to.deep.equal(['nomad'])
  })

  it('has something that can be run', () => {
    for (const spec of [{}, { docker: {} }, { ports: [] }])
      expect(errorsOf({ name: 'x', displayName: 'X', spec })[0]?.message).to.match(/nothing could run it/)
    for (const spec of [{ process }, { container }, { nomad: { job: 'x' } }])
      expect(failing({ name: 'x', displayName: 'X', spec })).to.deep.equal([])
  })

  it('keeps what another platform needs as it is, under the platform’s name', () => {
    const document = withSpec({ 'my-cloud': { deep: [{ a: null }] } })
    expect(decoded(document)).to.deep.equal(E.right(document))
  })

  it('refuses what cannot be a platform: no object, no name of one, or a name that a command’s spec has itself', () => {
    for (const key of ['processs', 'nomad'])
      expect(failing(withSpec({ [key]: 'x' })), key).to.deep.equal([`spec.${key}`])
    for (const key of ['Nomad', 'no_mad', 'resources', 'env'])
      expect(failing(withSpec({ [key]: {} })), key).to.deep.equal([`spec.${key}`])
    expect(failing(withSpec({ nomad: [] }))).to.deep.equal(['spec.nomad'])
  })

  it('refuses, also where nobody looks into it, what could not be stored', () => {
    for (const key of ['docker', 'kubernetes', 'nomad']) {
      for (const value of [{ a: '\u0000' }, { 'a\u0000': 1 }, { a: [{ b: '\ud800' }] }])
        expect(failing(withSpec({ [key]: value })), key).to.deep.equal([`spec.${key}`])
      const deep = JSON.parse(`{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`)
      expect(errorsOf(withSpec({ [key]: deep }))[0]?.message).to.match(/nested deeper than 64/)
    }
  })

  it('a home is an absolute path below the root, without ..', () => {
    const home = (path: unknown) => failing(withSpec({ home: { path } }))
    for (const path of ['/home/user', '/h', '/home/..user', '/a/...b/c/']) expect(home(path), path).to.deep.equal([])
    for (const path of [
      '/',
      '//',
      '/.',
      '/./',
      '',
      'home',
      './x',
      '/home/..',
      '/../etc',
      '/a/../../b',
      7,
      `/${'x'.repeat(255)}`,
    ])
      expect(home(path), String(path)).to.deep.equal(['spec.home.path'])
  })

  it('mounts name paths of the same kind', () => {
    expect(
      failing(withSpec({ container: { ...container, mounts: [{ hostPath: '/', path: '/a/../b' }, { path: '/x' }] } })),
    ).to.have.members([
      'spec.container.mounts[0].hostPath',
      'spec.container.mounts[0].path',
      'spec.container.mounts[1].hostPath',
    ])
  })

  it('environment variables have names that a shell can hold', () => {
    const env = (name: string) => failing(withSpec({ process: { ...process, env: { [name]: 'x' } } }))
    for (const name of ['A', '_', 'PATH_2', 'lower']) expect(env(name)).to.deep.equal([])
    for (const name of ['2A', 'A-B', 'A B', 'A=B', 'Ä', 'A\u0000'])
      expect(env(name), name).to.deep.equal([`spec.process.env.${name}`])
    expect(env('')).to.have.length(1)
    expect(failing(withSpec({ process: { ...process, env: { A: 1, B: 'x\u0000' } } }))).to.deep.equal([
      'spec.process.env.A',
      'spec.process.env.B',
    ])
  })

  it('ports have unique short names, numbers and a protocol', () => {
    const ports = (...given: object[]) => failing(withSpec({ ports: given }))
    expect(ports({ name: 'http' }, { name: 'vnc', port: 5900, protocol: 'vnc' })).to.deep.equal([])
    expect(ports({ name: 'a' }, { name: 'a' })).to.deep.equal(['spec.ports'])
    expect(
      ports({ name: 'A' }, { name: 'x'.repeat(16) }, { name: 'b', port: 0 }, { name: 'c', protocol: 'udp' }),
    ).to.have.members(['spec.ports[0].name', 'spec.ports[1].name', 'spec.ports[2].port', 'spec.ports[3].protocol'])
  })

  it('a probe asks a port that there is, or runs a command', () => {
    const ports = [{ name: 'http' }]
    const probe = (given: object) => errorsOf(withSpec({ ports, probe: given }))
    expect(probe({ type: 'http', port: 'http', path: '/ready' })).to.deep.equal([])
    expect(probe({ type: 'tcp' })).to.deep.equal([])
    expect(probe({ type: 'exec', command: ['true'] })).to.deep.equal([])
    expect(probe({ type: 'tcp', port: 'vnc' })).to.deep.equal([
      { field: 'spec.probe.port', message: 'names vnc, which spec.ports has not' },
    ])
    expect(probe({ type: 'exec' })).to.deep.equal([{ field: 'spec.probe', message: 'an exec probe needs a command' }])
    expect(probe({ type: 'udp' })[0]?.field).to.equal('spec.probe.type')
    expect(probe({ type: 'http', path: 'ready' })[0]?.field).to.equal('spec.probe.path')
  })

  it('commands have at least one word, images no space, figures their bounds', () => {
    expect(
      failing({
        ...aDocument(),
        resources: { cpuMillis: 0, memoryMib: 1.5 },
        spec: {
          process: { command: [] },
          container: { image: 'a b', user: -1 },
          restart: { policy: 'sometimes', maxRetries: -1 },
          startTimeoutSeconds: 0,
          stopGraceSeconds: 3_601,
        },
      }),
    ).to.have.members([
      'resources.cpuMillis',
      'resources.memoryMib',
      'spec.process.command',
      'spec.container.image',
      'spec.container.user',
      'spec.restart.policy',
      'spec.restart.maxRetries',
      'spec.startTimeoutSeconds',
      'spec.stopGraceSeconds',
    ])
  })

  it('never makes the decoder throw, whatever is given', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (spec, parameter) => {
        decoded({ name: 'x', displayName: 'X', spec, parameters: [parameter] })
        decoded(spec)
      }),
      { numRuns: 100 },
    )
  })
})

describe('the parameters that a template declares', () => {
  const failures = (parameter: object) => failing(withParameter(parameter))

  it('have a name, a type that we know and, if any, an environment variable', () => {
    expect(failures({ name: 'a', type: 'secret', env: 'A', required: true })).to.deep.equal([])
    expect(failures({ name: 'a', type: 'colour' })).to.deep.equal(['parameters[0].type'])
    expect(failures({ name: '1a', type: 'string' })).to.deep.equal(['parameters[0].name'])
    expect(failures({ type: 'string', name: 'a', env: 'A-B' })).to.deep.equal(['parameters[0].env'])
    expect(failing({ ...aDocument(), parameters: ['x', null] })).to.deep.equal(['parameters[0]', 'parameters[1]'])
  })

  it('have the rules of their type and no others', () => {
    expect(failures({ name: 'a', type: 'string', minimum: 1 })).to.deep.equal(['parameters[0].minimum'])
    expect(failures({ name: 'a', type: 'integer', maxLength: 1 })).to.deep.equal(['parameters[0].maxLength'])
    expect(failures({ name: 'a', type: 'secret', default: 'x' }), 'a secret is nobody’s default').to.deep.equal([
      'parameters[0].default',
    ])
    expect(failures({ name: 'a', type: 'enum' })).to.deep.equal(['parameters[0].options'])
    expect(failures({ name: 'a', type: 'enum', options: [] })).to.deep.equal(['parameters[0].options'])
    expect(failures({ name: 'a', type: 'string', pattern: '(' })).to.deep.equal(['parameters[0].pattern'])
  })

  it('are not declared twice', () => {
    const parameters = [
      { name: 'a', type: 'string' },
      { name: 'b', type: 'string' },
      { name: 'a', type: 'boolean' },
    ]
    expect(errorsOf({ ...aDocument(), parameters })).to.deep.equal([{ field: 'parameters', message: 'has a twice' }])
  })

  it('have defaults that fit them', () => {
    const fits: readonly object[] = [
      { type: 'string', default: 'abc', minLength: 3, maxLength: 3, pattern: '^a' },
      { type: 'integer', default: 5, minimum: 5, maximum: 5 },
      { type: 'number', default: -0.5, minimum: -1, maximum: 0 },
      { type: 'boolean', default: false },
      { type: 'enum', options: ['a', 'b'], default: 'b' },
    ]
    for (const parameter of fits) expect(failures({ name: 'a', ...parameter })).to.deep.equal([])
    const misfits: readonly (readonly [object, RegExp])[] = [
      [{ type: 'string', default: 'ab', minLength: 3 }, /at least 3/],
      [{ type: 'string', default: 'abc', maxLength: 2 }, /at most 2/],
      [{ type: 'integer', default: 4, minimum: 5 }, /at least 5/],
      [{ type: 'integer', default: 1.5 }, /whole number/],
      [{ type: 'number', default: 2, maximum: 1 }, /at most 1/],
      [{ type: 'enum', options: ['a', 'b'], default: 'c' }, /one of: a, b/],
      [{ type: 'boolean', default: 'yes' }, /true or false/],
      [{ type: 'string', default: null }, /a string/],
    ]
    for (const [parameter, message] of misfits) {
      const [error, ...others] = errorsOf(withParameter({ name: 'a', ...parameter }))
      expect(others).to.deep.equal([])
      expect(error?.field).to.equal('parameters[0].default')
      expect(error?.message).to.match(message)
    }
  })
})
