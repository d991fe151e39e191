import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { platformsOf, templateDocumentCodec } from '../../../domain/template/template-codec.ts'
import { readCatalogue } from '../../../src/catalogue/index.ts'

const catalogue = await readCatalogue()

describe('the catalogue of templates that ship', () => {
  for (const document of catalogue) {
    it(`${document.name} is a template as the API would take it`, () => {
      const decoded = templateDocumentCodec.decode(JSON.parse(JSON.stringify(document)))
      expect(E.isRight(decoded) ? [] : decoded.left.map(({ message }) => message)).to.deep.equal([])
    })

    it(`${document.name} says what a person needs to choose it`, () => {
      for (const field of ['description', 'category', 'icon', 'tags', 'resources'] as const)
        expect(document[field], field).to.not.equal(undefined)
      for (const parameter of document.parameters ?? []) expect(parameter.description).to.be.a('string')
    })

    const command = document.spec.process?.command
    if (command !== undefined)
      it(`${document.name} names a program that ships`, () => {
        const file = command[1]?.replace(/^\$\{apps\}\//, '')
        expect(existsSync(new URL(`../../../agents/process/apps/${file}`, import.meta.url))).to.equal(true)
      })
  }

  it('has each name once', () => {
    const names = catalogue.map(({ name }) => name)
    expect(new Set(names).size).to.equal(names.length)
  })

  it('has hello-web for processes and containers', () => {
    const helloWeb = catalogue.find(({ name }) => name === 'hello-web')!
    expect(platformsOf(helloWeb.spec)).to.deep.equal(['process', 'docker', 'kubernetes'])
  })

  it('has an editor, a desktop, a notebook, a shell and a site for containers', () => {
    const forContainers = catalogue.filter(({ spec }) => spec.container !== undefined).map(({ name }) => name)
    expect(forContainers).to.include.members(['code-server', 'browser-desktop', 'jupyter', 'shell', 'static-site'])
  })

  it('lets nobody in by a container who has not the token of the session', () => {
    const open = catalogue.filter(
      ({ spec }) =>
        spec.container !== undefined && !JSON.stringify(spec.container).includes('STREAMSPACE_ACCESS_TOKEN'),
    )
    // What busybox serves cannot ask, and shows nothing but what was put there to be seen.
    expect(open.map(({ name }) => name)).to.deep.equal(['hello-web', 'static-site'])
  })
})
