import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { platformsOf, templateDocumentCodec } from '../../../domain/template/template-codec.ts'
import { catalogue } from '../../../src/catalogue/index.ts'

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

    it(`${document.name} names a program that ships`, () => {
      const program = document.spec.process?.command[1]?.replace(/^\$\{apps\}\//, '')
      expect(existsSync(new URL(`../../../agents/process/apps/${program}`, import.meta.url))).to.equal(true)
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
})
