import { expect } from 'chai'
import { breakingChanges, type OpenApi } from '../../../scripts/openapi/breaking-changes.ts'
import { currentDocument } from '../../../scripts/openapi/document.ts'

// biome-ignore lint/suspicious/noExplicitAny: a document is changed anywhere
type Changed = any

const thing = {
  type: 'object',
  required: ['id', 'status'],
  properties: {
    id: { type: 'string' },
    status: { enum: ['on', 'off'] },
    note: { type: 'string' },
    parent: { $ref: '#/components/schemas/Thing' },
  },
}
const base = {
  paths: {
    '/things': {
      get: {
        operationId: 'listThings',
        security: [],
        parameters: [
          { name: 'limit', in: 'query', required: false, schema: { type: 'integer', minimum: 1, maximum: 500 } },
        ],
        responses: {
          200: {
            headers: { ETag: { required: true, schema: { type: 'string' } } },
            content: {
              'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/Thing' } } },
            },
          },
          404: { content: { 'application/problem+json': { schema: {} } } },
        },
      },
      post: {
        operationId: 'makeThing',
        security: [{ bearer: [] }],
        requestBody: {
          required: false,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['name'],
                additionalProperties: false,
                properties: {
                  name: { type: 'string', maxLength: 80 },
                  kind: { enum: ['a', 'b'] },
                  size: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
                  labels: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 64 },
                },
              },
            },
          },
        },
        responses: { 201: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } } },
      },
    },
  },
  components: { schemas: { Thing: thing } },
}

const changed = (change: (document: Changed) => void): readonly string[] => {
  const after = structuredClone(base) as Changed
  change(after)
  return breakingChanges(base as unknown as OpenApi, after)
}
const bodyOf = (document: Changed) => document.paths['/things'].post.requestBody.content['application/json'].schema
const answer = (document: Changed) => document.components.schemas.Thing

describe('what breaks clients', () => {
  const breaking: { readonly [what: string]: readonly [RegExp, (document: Changed) => void] } = {
    'a path that is gone': [/GET \/things: is gone/, (d) => delete d.paths['/things']],
    'a method that is gone': [/POST \/things: is gone/, (d) => delete d.paths['/things'].post],
    'another name of an operation': [/is called list now/, (d) => (d.paths['/things'].get.operationId = 'list')],
    'a key where none was needed': [/needs a key now/, (d) => (d.paths['/things'].get.security = [{ bearer: [] }])],
    'a parameter that is gone': [/parameter limit \(query\) is gone/, (d) => d.paths['/things'].get.parameters.pop()],
    'a new required parameter': [
      /parameter org \(query\) is required now/,
      (d) => d.paths['/things'].get.parameters.push({ name: 'org', in: 'query', required: true, schema: {} }),
    ],
    'a narrower range of a parameter': [
      /no longer taken: GET \/things: limit: maximum 500, against 100/,
      (d) => (d.paths['/things'].get.parameters[0].schema.maximum = 100),
    ],
    'a body that is required now': [
      /a body is required now/,
      (d) => (d.paths['/things'].post.requestBody.required = true),
    ],
    'a field that is no longer taken': [
      /body\.kind: there, against not known/,
      (d) => delete bodyOf(d).properties.kind,
    ],
    'a new required field': [
      /body\.owner: may be left out, against required/,
      (d) => {
        bodyOf(d).properties.owner = { type: 'string' }
        bodyOf(d).required.push('owner')
      },
    ],
    'a field that becomes required': [/body\.kind: may be left out/, (d) => bodyOf(d).required.push('kind')],
    'a word that is no longer taken': [/body\.kind: the value b/, (d) => bodyOf(d).properties.kind.enum.pop()],
    'a shorter text': [/maxLength 80, against 40/, (d) => (bodyOf(d).properties.name.maxLength = 40)],
    'a pattern where there was none': [/pattern none, against/, (d) => (bodyOf(d).properties.name.pattern = '^a')],
    'another type of a field': [
      /body\.name: string, against integer/,
      (d) => (bodyOf(d).properties.name = { type: 'integer' }),
    ],
    'null that is no longer taken': [/body\.size: null/, (d) => (bodyOf(d).properties.size = { type: 'integer' })],
    'values of a map that are narrower': [
      /body\.labels\.\*: string, against boolean/,
      (d) => (bodyOf(d).properties.labels.additionalProperties = { type: 'boolean' }),
    ],
    'a field that is no longer answered': [
      /no longer answered: GET \/things: 200\[\]\.note/,
      (d) => delete answer(d).properties.note,
    ],
    'a required field that is no longer answered': [
      /\.id: may be left out/,
      (d) => {
        delete answer(d).properties.id
        answer(d).required = ['status']
      },
    ],
    'a field that may be left out of an answer': [/\.status: may be left out/, (d) => (answer(d).required = ['id'])],
    'a new word in an answer': [/\.status: the value asleep/, (d) => answer(d).properties.status.enum.push('asleep')],
    'null in an answer': [/\.id: null, against string/, (d) => (answer(d).properties.id.type = ['string', 'null'])],
    'another answer of success': [/may now be answered 202/, (d) => (d.paths['/things'].post.responses[202] = {})],
    'an answer of success that is gone': [
      /no longer answered 201/,
      (d) => delete d.paths['/things'].post.responses[201],
    ],
    'a header that is gone': [
      /has no header ETag any more/,
      (d) => delete d.paths['/things'].get.responses[200].headers.ETag,
    ],
    'a header that may be missing': [
      /may come without the header ETag/,
      (d) => (d.paths['/things'].get.responses[200].headers.ETag.required = false),
    ],
    'another media type': [
      /200 is no longer application\/json/,
      (d) => (d.paths['/things'].get.responses[200].content = { 'text/csv': { schema: {} } }),
    ],
  }
  for (const [what, [expected, change]] of Object.entries(breaking))
    it(`${what} does`, () => {
      expect(changed(change).join('\n')).to.match(expected)
    })

  const harmless: { readonly [what: string]: (document: Changed) => void } = {
    nothing: () => {},
    'a new path': (d) => (d.paths['/others'] = structuredClone(base.paths['/things'])),
    'a new optional parameter': (d) =>
      d.paths['/things'].get.parameters.push({ name: 'q', in: 'query', required: false, schema: { type: 'string' } }),
    'a new optional field of a body': (d) => (bodyOf(d).properties.more = { type: 'string' }),
    'a new word that is taken': (d) => bodyOf(d).properties.kind.enum.push('c'),
    'a longer text': (d) => (bodyOf(d).properties.name.maxLength = 100),
    'a field that need not be sent any more': (d) => (bodyOf(d).required = []),
    'more types of a field': (d) => (bodyOf(d).properties.name = { anyOf: [{ type: 'string' }, { type: 'integer' }] }),
    'a new field of an answer': (d) => (answer(d).properties.more = { type: 'string' }),
    'a field that is always answered now': (d) => answer(d).required.push('note'),
    'a word that is no longer answered': (d) => answer(d).properties.status.enum.pop(),
    'another refusal': (d) => (d.paths['/things'].get.responses[409] = {}),
    'a description': (d) => (answer(d).properties.note.description = 'for people'),
    'no key where one was needed': (d) => (d.paths['/things'].post.security = []),
  }
  for (const [what, change] of Object.entries(harmless))
    it(`${what} does not`, () => {
      expect(changed(change)).to.deep.equal([])
    })

  it('our own document breaks nobody who was written for it; without an operation it does', () => {
    const document = currentDocument()
    expect(breakingChanges(document, document)).to.deep.equal([])
    const { '/api/v1/sessions/{id}': _gone, ...paths } = document.paths
    expect(breakingChanges(document, { ...document, paths }).length).to.equal(3)
  })
})
