import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { aTemplate, ok, page, problem } from './fake-api.ts'
import { inTemporaryDirectory } from './run-cli.ts'
import { withApi } from './with-api.ts'

const YAML = `
# what people see first
name: one
displayName: One
spec: {process: {command: [node, one.js]}}
---
name: two
displayName: "Two"
spec:
  container: {image: busybox}
---
`
const ONE = { name: 'one', displayName: 'One', spec: { process: { command: ['node', 'one.js'] } } }
const TWO = { name: 'two', displayName: 'Two', spec: { container: { image: 'busybox' } } }

describe('streamspace template', () => {
  it('applies every document of YAML and JSON files, and says what became of each', async () => {
    await inTemporaryDirectory(async (cwd) => {
      await writeFile(join(cwd, 'both.yaml'), YAML)
      await writeFile(join(cwd, 'one.json'), JSON.stringify(ONE))
      const answers = {
        'POST /api/v1/templates': [
          ok(aTemplate({ name: 'one' }), 201),
          ok(aTemplate({ name: 'two', version: 3 }), 201),
          ok(aTemplate({ name: 'one' }), 200),
        ],
      }
      await withApi(answers, async ({ api, run }) => {
        const { code, stdout } = await run(['template', 'apply', '-f', 'both.yaml', '-f', 'one.json'], { cwd })
        expect({ code, stdout }).to.deep.equal({
          code: 0,
          stdout: 'template one version 1 created\ntemplate two version 3 created\ntemplate one version 1 unchanged\n',
        })
        expect(api.asked.map(({ body }) => body)).to.deep.equal([ONE, TWO, ONE])
      })
    })
  })

  it('takes a template from standard input and prints what the API answers', async () => {
    await withApi({ 'POST /api/v1/templates': ok(aTemplate({ name: 'one' }), 201) }, async ({ run }) => {
      const { stdout } = await run(['template', 'create', '-f', '-', '--json'], { stdin: JSON.stringify(ONE) })
      expect(JSON.parse(stdout)).to.deep.equal(aTemplate({ name: 'one' }))
    })
  })

  it('names every wrong field, applies the rest, and fails', async () => {
    const errors = [
      { field: 'spec.ports[0].port', message: 'must be at most 65535' },
      { field: 'colour', message: 'is not a known field' },
    ]
    const detail = 'spec.ports[0].port must be at most 65535; colour is not a known field'
    await withApi(
      {
        'POST /api/v1/templates': [problem('invalid_request', detail, { errors }), ok(aTemplate({ name: 'two' }), 201)],
      },
      async ({ run }) => {
        const { code, stdout, stderr } = await run(['template', 'apply', '-f', '-'], { stdin: YAML })
        expect(code).to.equal(1)
        expect(stdout).to.equal('template two version 1 created\n')
        expect(stderr).to.equal(
          `streamspace: standard input, document 1: The request does not decode
  spec.ports[0].port must be at most 65535
  colour is not a known field
`,
        )
      },
    )
  })

  it('sends nothing of files that cannot be read as templates', async () => {
    await withApi({}, async ({ api, run }) => {
      for (const [stdin, complaint] of [
        ['a: [', 'standard input: this is not YAML'],
        ['', 'standard input: there is no template in it'],
        ['just text', 'a template is an object'],
      ] as const) {
        const { code, stderr } = await run(['template', 'apply', '-f', '-'], { stdin })
        expect(code).to.equal(1)
        expect(stderr).to.contain(complaint)
      }
      const { code, stderr } = await run(['template', 'apply', '-f', 'no-such-file'])
      expect(code).to.equal(1)
      expect(stderr).to.contain('no-such-file: there is no such file')
      expect(api.asked).to.deep.equal([])
    })
  })

  it('lists, shows and archives', async () => {
    const parameters = [{ name: 'theme', type: 'enum', options: ['light', 'dark'], default: 'light' }]
    await withApi(
      {
        'GET /api/v1/templates': page([aTemplate()]),
        'GET /api/v1/templates/hello-web': ok(aTemplate({ parameters })),
        'DELETE /api/v1/templates/hello-web': { status: 204 },
      },
      async ({ api, run }) => {
        const listed = await run(['template', 'list', '--platform', 'process'])
        expect(listed.stdout).to.match(/^NAME +VERSION.*\nhello-web +1 +Hello +- +process +public/)
        expect(api.asked[0]?.query.platform).to.equal('process')
        expect((await run(['template', 'get', 'hello-web'])).stdout).to.match(/theme +light\|dark +no +light/)
        expect(await run(['template', 'delete', 'hello-web'])).to.deep.equal({
          code: 0,
          stdout: 'template hello-web is archived\n',
          stderr: '',
        })
      },
    )
  })
})
