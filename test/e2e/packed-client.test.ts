/** The package `@streamspace/client` in a project that has nothing of ours beside it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { type EmptyProject, projectWithClient } from './support/empty-project.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const right = `
import { createClient, isProblem, type Session } from '@streamspace/client'
const client = createClient({ url: process.env.STREAMSPACE_URL ?? '', apiKey: process.env.STREAMSPACE_API_KEY ?? null })
const session: Session = await client.sessions.create({ template: 'hello-web', name: 'packed' })
const names: string[] = []
for await (const { name } of client.sessions.list({ status: ['pending'] })) names.push(name)
const missing: string = await client.templates.get('no-such').then(() => '', (error: unknown) => {
  if (isProblem(error, 'not_found')) return error.code
  throw error
})
console.log(JSON.stringify({ names, missing, status: session.status }))
`
/** Each line is wrong in one way. */
const wrong = `
import { createClient } from '@streamspace/client'
const client = createClient({ url: '', apiKey: null })
void client.sessions.create({ template: 7 })
void client.sessions.create({ template: 'x', colour: 'blue' })
void client.sessions.list({ status: ['asleep'] })
void client.call('noSuchOperation', {})
const version: string = (await client.sessions.get('x')).version
export { version }
`

describe('the packed client', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let project: EmptyProject

  before(async () => {
    control = await server(here, await migratedDatabase(here))
    // It will come; until then what is made for it waits.
    await enrol(control.rest, 'edge-1')
    project = await projectWithClient(here)
    await project.write('right.ts', right)
    await project.write('wrong.ts', wrong)
  })

  it('is JavaScript and types with three dependencies, and the types of Node', async () => {
    const folder = join(project.folder, 'node_modules/@streamspace/client')
    const { name, type, dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    expect([name, type]).to.deep.equal(['@streamspace/client', 'module'])
    expect(Object.keys(dependencies)).to.have.members(['@types/node', 'eventsource-parser', 'fp-ts', 'io-ts'])
    for (const file of ['client.js', 'client.d.ts'])
      expect(await readFile(join(folder, 'lib/src/client', file), 'utf8')).to.not.match(/from ['"]\.[^'"]*\.ts['"]/)
  })

  it('talks to a server', async () => {
    const env = { STREAMSPACE_URL: control.url, STREAMSPACE_API_KEY: control.rest.key }
    const said = JSON.parse(await project.node('right.ts', env))
    expect(said).to.deep.equal({ names: ['packed'], missing: 'not_found', status: 'pending' })
  })

  it('is typed by the contract: what is right compiles, and each thing that is wrong does not', async () => {
    expect(await project.checked(['right.ts'])).to.equal('')
    const complaints = await project.checked(['wrong.ts'])
    const lines = [...complaints.matchAll(/^wrong\.ts[(:](\d+)/gm)].map(([, line]) => Number(line))
    expect([...new Set(lines)], complaints).to.deep.equal([4, 5, 6, 7, 8])
  })
})
