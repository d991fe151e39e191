import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { checkLayers, shippedRules } from '../../../scripts/check/layers.ts'

describe('the layer check', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'streamspace-layers-'))
    await files({
      'package.json': '{ "type": "module" }',
      'domain/session/decide.ts': `export type Session = { readonly id: string }\nexport const decide = () => 1`,
      'adapters/postgres/sessions.ts': `import { decide } from '../../domain/session/decide.ts'\nexport const row = decide`,
      'adapters/http/sessions.ts': `import type { Create } from '../../src/usecases/create.ts'\nexport type Route = Create`,
      'src/usecases/create.ts': `import { decide } from '../../domain/session/decide.ts'\nexport type Create = typeof decide\nexport const create = decide`,
      'src/server.ts': `import { row } from '../adapters/postgres/sessions.ts'\nexport const server = row`,
      'agents/protocol.ts': `export type Frame = { readonly type: string }`,
      'agents/process/main.ts': `import type { Frame } from '../protocol.ts'\nexport type Main = Frame`,
    })
  })

  afterEach(() => rm(root, { recursive: true, force: true }))

  const files = async (texts: Record<string, string>): Promise<void> => {
    for (const [name, text] of Object.entries(texts)) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), `${text}\n`)
    }
  }

  const problemsWith = async (texts: Record<string, string>): Promise<string> => {
    await files(texts)
    return (await checkLayers(root)).problems.join('\n')
  }

  it('accepts a tree that keeps the layers, and has looked at every file of it', async () => {
    expect(await checkLayers(root)).to.deep.equal({ files: 7, cruised: 7, problems: [] })
  })

  const forbidden: readonly (readonly [name: string, rule: string, file: string, text: string])[] = [
    ['the domain reading files', 'domain-is-pure', 'domain/session/a.ts', `import 'node:fs'`],
    ['the domain knowing an adapter', 'domain-is-pure', 'domain/a.ts', `import '../adapters/postgres/sessions.ts'`],
    ['a use case knowing an adapter', 'usecases', 'src/usecases/a.ts', `import '../../adapters/postgres/sessions.ts'`],
    ['a use case doing I/O by itself', 'usecases', 'src/usecases/a.ts', `import 'node:child_process'`],
    ['a module of src knowing an adapter', 'src-modules', 'src/api/a.ts', `import '../../adapters/http/sessions.ts'`],
    ['a module of src knowing a composition root', 'src-modules', 'src/client/a.ts', `import '../server.ts'`],
    ['one adapter knowing another', 'each-other', 'adapters/http/a.ts', `import '../postgres/sessions.ts'`],
    ['an adapter knowing use cases', 'adapters-know', 'adapters/pgboss/a.ts', `import '../../src/usecases/create.ts'`],
    ['http running a use case by itself', 'as-types', 'adapters/http/a.ts', `import '../../src/usecases/create.ts'`],
    [
      'http knowing the agents',
      'http-knows',
      'adapters/http/a.ts',
      `import type { Frame } from '../../agents/protocol.ts'`,
    ],
    [
      'an agent knowing an adapter',
      'agent-platforms',
      'agents/docker/a.ts',
      `import '../../adapters/postgres/sessions.ts'`,
    ],
    ['an agent knowing decisions', 'agent-platforms', 'agents/docker/a.ts', `import '../../domain/session/decide.ts'`],
    ['one platform knowing another', 'each-other', 'agents/docker/a.ts', `import '../process/main.ts'`],
    ['the runtime knowing a platform', 'agent-runtime', 'agents/runtime/a.ts', `import '../process/main.ts'`],
    ['an import that leads nowhere', 'imports-exist', 'domain/a.ts', `import './nowhere.ts'`],
  ]
  for (const [name, rule, file, text] of forbidden) {
    it(`refuses ${name}`, async () => {
      const problems = await problemsWith({ [file]: text })
      expect(problems).to.contain(rule).and.to.contain(file)
    })
  }

  it('refuses a forbidden import of a type alone', async () => {
    const text = `import type { server } from '../src/server.ts'\nexport type A = typeof server`
    expect(await problemsWith({ 'domain/a.ts': text })).to.contain('domain-is-pure')
  })

  it('refuses a cycle', async () => {
    const problems = await problemsWith({
      'domain/a.ts': `import { b } from './b.ts'\nexport const a = () => b`,
      'domain/b.ts': `import { a } from './a.ts'\nexport const b = () => a`,
    })
    expect(problems).to.contain('no-cycles')
  })

  it('fails when a module was not looked at, although nothing forbidden was found', async () => {
    const { forbidden, options } = shippedRules()
    const blind = { forbidden, options: { ...options, exclude: { path: '^domain/' } } }
    const report = await checkLayers(root, blind)
    expect(report).to.deep.include({ files: 7, cruised: 6 })
    expect(report.problems.join()).to.contain('domain/session/decide.ts: not looked at')
  })

  it('fails in a tree without a single module', async () => {
    await rm(root, { recursive: true })
    await mkdir(root)
    expect((await checkLayers(root)).problems).to.have.length(1)
  })
})
