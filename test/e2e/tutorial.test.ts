/** docs/tutorial.md, as somebody follows it: its programs run one after another, and print what it says. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { type EmptyProject, projectWithClient } from './support/empty-project.ts'
import { root, scene } from './support/scene.ts'
import { dev, type Installation, usedDataDir } from './support/streamspace.ts'

type Block = { readonly language: string; readonly file: string | undefined; readonly text: string }

const blocksOf = (markdown: string): readonly Block[] =>
  [...markdown.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language = '', file, text = '']) => ({
    language,
    file,
    text,
  }))

/** `…` is whatever is different each time. */
const asWritten = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('…')
      .map((part) => RegExp.escape(part))
      .join('.+')}$`,
  )

describe('the tutorial', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let home: Installation
  let project: EmptyProject
  let blocks: readonly Block[]

  before(async () => {
    blocks = blocksOf(await readFile(join(root, 'docs/tutorial.md'), 'utf8'))
    home = await dev(here, await usedDataDir(here))
    project = await projectWithClient(here)
    for (const { file, text } of blocks) if (file !== undefined) await project.write(file, text)
  })

  it('names the package that is made, and nothing else that is not there', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const commands = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text)
    expect(commands.join('')).to.include(`streamspace-client-${version}.tgz`)
  })

  it('has programs that a strict compiler has nothing to say of', async () => {
    const files = blocks.flatMap(({ file }) => (file === undefined ? [] : [file]))
    expect(files.length).to.be.greaterThan(5)
    expect(await project.checked(files)).to.equal('')
  })

  it('has programs that print what it says', async () => {
    const env = { STREAMSPACE_URL: home.url, STREAMSPACE_API_KEY: home.rest.key }
    let run = 0
    for (const [index, { file }] of blocks.entries()) {
      const expected = blocks[index + 1]
      if (file === undefined || expected?.language !== 'text') continue
      expect(await project.node(file, env), file).to.match(asWritten(expected.text))
      run += 1
    }
    expect(run).to.equal(blocks.filter(({ language }) => language === 'text').length)
  })
})
