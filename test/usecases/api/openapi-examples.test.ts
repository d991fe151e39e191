/** The document as others check it, and its examples as the server would. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect } from 'chai'
import { decode } from '../../../domain/codec/field-errors.ts'
import { currentText, documentFile, writtenText } from '../../../scripts/openapi/document.ts'
import { openApiDocument } from '../../../src/api/openapi.ts'
import { problems } from '../../../src/api/problem.ts'
import type { Route } from '../../../src/api/route.ts'
import { routes } from '../../../src/api/routes.ts'
import { createContract, type Document } from '../../support/contract/contract.ts'

type Example = { readonly value: unknown }
type Media = {
  readonly schema: object
  readonly example?: unknown
  readonly examples?: { readonly [name: string]: object }
}
type Content = { readonly [mediaType: string]: Media }
type Operation = {
  readonly parameters: readonly object[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: { readonly [status: string]: { readonly content?: Content } }
}

const document = JSON.parse(JSON.stringify(openApiDocument('2.0.0')))
const { resolved, complaintsOf } = createContract(document as Document)
const table = Object.entries(routes) as [string, Route][]
const operationOf = ({ path, method }: Route): Operation => document.paths[path][method]

const examplesOf = ({ example, examples }: Media): readonly unknown[] =>
  example === undefined
    ? Object.values(examples ?? {}).map((one) => resolved<Example>(one as Example).value)
    : [example]

describe('the OpenAPI document, to others', () => {
  it('is OpenAPI 3.1, says a validator of it', async () => {
    const { valid, errors } = await new Validator().validate(document)
    expect(valid, JSON.stringify(errors)).to.equal(true)
  })

  it('is committed as it is: npm run openapi writes it', () => {
    expect(writtenText() === currentText(), `${documentFile} is not what the routes say: npm run openapi`).to.equal(
      true,
    )
  })

  for (const [operationId, route] of table)
    it(`${operationId} has an example of everything, and each is right`, () => {
      const { parameters, requestBody, responses } = operationOf(route)
      const contents = [requestBody?.content, ...Object.values(responses).map(({ content }) => content)]
      for (const media of contents.flatMap((content) => Object.values(content ?? {}))) {
        const examples = examplesOf(media)
        expect(examples, JSON.stringify(media)).to.not.have.length(0)
        for (const example of examples)
          expect(complaintsOf(media.schema, example, ''), JSON.stringify(example)).to.deep.equal([])
      }
      for (const parameter of parameters) {
        const {
          name,
          in: place,
          schema,
          example,
        } = resolved(parameter) as {
          readonly [member: string]: object
        }
        if ((place as unknown as string) === 'header') continue
        expect(complaintsOf(schema ?? {}, example, ''), `${name}: ${JSON.stringify(example)}`).to.deep.equal([])
      }
    })

  it('examples of bodies decode', () => {
    for (const [operationId, route] of table) {
      const media = operationOf(route).requestBody?.content['application/json']
      if (route.body === null || media === undefined) continue
      for (const example of examplesOf(media))
        expect(decode(route.body, example), `${operationId}: ${JSON.stringify(example)}`).to.have.property(
          '_tag',
          'Right',
        )
    }
  })

  it('every code of a problem is some operation’s, or what HTTP itself answers', () => {
    const documented = new Set(
      table.flatMap(([, route]) =>
        Object.values(operationOf(route).responses).flatMap(({ content }) =>
          Object.keys(content?.['application/problem+json']?.examples ?? {}),
        ),
      ),
    )
    const elsewhere = ['malformed_request', 'method_not_allowed', 'request_timeout', 'headers_too_large']
    expect([...documented, ...elsewhere]).to.include.members(Object.keys(problems))
  })
})
