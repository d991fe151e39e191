import { expect } from 'chai'
import { openApiDocument, problemsOf } from '../../../src/api/openapi.ts'
import type { Route } from '../../../src/api/route.ts'
import { routes } from '../../../src/api/routes.ts'

type Operation = {
  operationId: string
  security: object[]
  parameters: { name?: string; in?: string; $ref?: string }[]
  responses: { [status: string]: { content?: object } }
}
const document = openApiDocument('2.0.0') as {
  openapi: string
  paths: { [path: string]: { [method: string]: Operation } }
  components: { schemas: { [name: string]: object } }
}
const table = Object.entries(routes) as [string, Route][]
const operationOf = (route: Route): Operation => document.paths[route.path]![route.method]!

describe('the OpenAPI document', () => {
  it('has every route, once', () => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))
    expect(operations.map(({ operationId }) => operationId)).to.have.members(Object.keys(routes))
    expect(new Set(table.map(([, { method, path }]) => `${method} ${path}`)).size).to.equal(table.length)
    expect(document.openapi).to.equal('3.1.0')
  })

  it('says of every operation whether it needs a key', () => {
    for (const [operationId, route] of table)
      expect(operationOf(route).security, operationId).to.deep.equal(route.access === 'anyone' ? [] : [{ bearer: [] }])
  })

  it('names every path parameter that a path has', () => {
    for (const [operationId, route] of table) {
      const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      expect(Object.keys(route.params), operationId).to.deep.equal(inPath)
      const declared = operationOf(route).parameters.filter((parameter) => parameter.in === 'path')
      expect(declared.map(({ name }) => name)).to.deep.equal(inPath)
    }
  })

  it('refers to schemas that it has, and to each of them', () => {
    const references = new Set(
      [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name),
    )
    for (const name of references) expect(document.components.schemas).to.have.property(name ?? '')
    for (const name of Object.keys(document.components.schemas)) expect([...references]).to.include(name)
    expect(Object.keys(document.components.schemas)).to.include.members([
      'Session',
      'Template',
      'Agent',
      'Command',
      'Event',
      'Problem',
    ])
  })

  it('documents what each operation can answer', () => {
    for (const [operationId, route] of table) {
      const statuses = Object.keys(operationOf(route).responses)
      expect(statuses, operationId).to.include.members(Object.keys(route.answers))
      if (route.access !== 'anyone')
        expect(statuses, operationId).to.include.members(['400', '401', '403', '404', '503'])
      if (route.condition === 'change') expect(problemsOf(route)).to.include('precondition_failed')
      if (route.condition === 'read') expect(statuses).to.include('304')
    }
  })
})
