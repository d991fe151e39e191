import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { closingLine, sum } from '../../../scripts/check/counts.ts'
import { runMocha } from '../../../scripts/check/run-mocha.ts'

const repository = fileURLToPath(new URL('../../..', import.meta.url))

describe('counting tests', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'streamspace-counting-'))
    await symlink(join(repository, 'node_modules'), join(root, 'node_modules'))
    await symlink(join(repository, 'scripts'), join(root, 'scripts'))
    await writeFile(join(root, 'package.json'), '{ "type": "module" }')
    await mkdir(join(root, 'test'))
  })

  afterEach(() => rm(root, { recursive: true, force: true }))

  const countsOf = async (text: string, ...args: string[]) => {
    await writeFile(join(root, 'test/some.test.ts'), text)
    return runMocha({ root, specs: ['test/some.test.ts'], args, output: 'ignore' })
  }

  it('ends in a line that programs can read', () => {
    const total = sum([
      { passed: 1, failed: 2, skipped: 3 },
      { passed: 10, failed: 20, skipped: 30 },
    ])
    expect(closingLine(total)).to.equal('11 passed, 22 failed, 33 skipped')
  })

  it('tells passed, failed and skipped tests apart, and which failed', async () => {
    const text = `it('a', () => {}); it('b', () => { throw new Error('no') }); it('c'); it('d', () => {})`
    expect(await countsOf(text)).to.deep.equal({ passed: 2, failed: 1, skipped: 1, failures: ['b\n  no'] })
  })

  it('takes a test file that cannot be loaded for a failure', async () => {
    expect(await countsOf(`import './nowhere.ts'`)).to.deep.equal({ passed: 0, failed: 1, skipped: 0 })
  })

  it('takes a mocha that dies half-way for a failure', async () => {
    expect(await countsOf(`it('a', () => process.exit(0))`)).to.deep.equal({ passed: 0, failed: 1, skipped: 0 })
  })

  it('passes arguments on to mocha', async () => {
    const counts = await countsOf(`it('this', () => {}); it('that', () => {})`, '-g', 'that')
    expect(counts).to.deep.equal({ passed: 1, failed: 0, skipped: 0, failures: [] })
  })
})
