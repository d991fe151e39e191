import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { bearer, type Program, raw, started } from '../../support/web-program.ts'

describe('file-browser', () => {
  let program: Program
  before(async () => {
    program = await started('file-browser')
  })
  after(() => program.close())
  const ask = (
    method: string,
    path: string,
    options: { body?: string | Buffer; headers?: Record<string, string> } = {},
  ) =>
    fetch(program.base + path, { method, redirect: 'manual', ...options, headers: { ...bearer, ...options.headers } })
  const at = (...names: string[]) => join(program.home, ...names)

  it('uploads, lists, shows, downloads, renames and deletes', async () => {
    expect((await ask('POST', '/papers?make=folder')).status).to.equal(201)
    const content = Buffer.alloc(300_000, 'abc')
    expect((await ask('PUT', '/papers/a%20%26%20b.txt', { body: content })).status).to.equal(201)
    expect((await ask('PUT', '/papers/a%20%26%20b.txt', { body: content })).status).to.equal(200)
    expect(readdirSync(at('papers'))).to.deep.equal(['a & b.txt'])
    const listing = await (await ask('GET', '/papers/')).text()
    expect(listing).to.include('a &#38; b.txt').and.include('293.0 KiB')
    const shown = await ask('GET', '/papers/a%20%26%20b.txt')
    expect(Buffer.from(await shown.arrayBuffer()).equals(content)).to.equal(true)
    expect(shown.headers.get('content-security-policy')).to.match(/^sandbox/)
    const download = await ask('GET', '/papers/a%20%26%20b.txt?download')
    expect(download.headers.get('content-disposition')).to.equal("attachment; filename*=UTF-8''a%20%26%20b.txt")
    await download.arrayBuffer()
    expect((await ask('POST', '/papers/a%20%26%20b.txt?rename=c.txt')).status).to.equal(200)
    expect(readdirSync(at('papers'))).to.deep.equal(['c.txt'])
    expect((await ask('DELETE', '/papers')).status).to.equal(200)
    expect(existsSync(at('papers'))).to.equal(false)
  })

  it('tells what cannot be done', async () => {
    writeFileSync(at('one'), '1')
    writeFileSync(at('two'), '2')
    mkdirSync(at('folder'))
    for (const [method, path, status] of [
      ['GET', '/nothing', 404],
      ['DELETE', '/nothing', 404],
      ['POST', '/one?rename=two', 409],
      ['POST', '/one?rename=..%2Fout', 400],
      ['POST', '/one?rename=..', 400],
      ['POST', '/one', 400],
      ['POST', '/folder?make=folder', 409],
      ['PUT', '/folder', 409],
      ['PUT', '/nowhere/file', 404],
      ['DELETE', '/', 400],
      ['PATCH', '/one', 405],
      ['POST', `/${'x'.repeat(300)}?make=folder`, 400],
    ] as const)
      expect((await ask(method, path)).status, `${method} ${path}`).to.equal(status)
    expect(readFileSync(at('two'), 'utf8')).to.equal('2')
  })

  it('leads nowhere out of the home, by paths or by links', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'outside-'))
    writeFileSync(join(outside, 'precious'), 'x')
    symlinkSync(outside, at('link'))
    symlinkSync(join(outside, 'precious'), at('file-link'))
    for (const [method, path] of [
      ['GET', '/link/'],
      ['GET', '/link/precious'],
      ['GET', '/file-link'],
      ['PUT', '/link/new'],
      ['POST', '/link/new?make=folder'],
      ['POST', '/link/precious?rename=gone'],
      ['DELETE', '/link/precious'],
    ] as const)
      expect((await ask(method, path)).status, `${method} ${path}`).to.equal(400)
    for (const path of ['/../', '/..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/a%00', '/%zz'])
      expect(await raw(program.base, path), path).to.be.oneOf([400, 404, 200])
    expect(await raw(program.base, '/..%2f..%2fetc/passwd')).to.equal(400)
    // A link is deleted itself, and replaced by an upload, never followed.
    expect((await ask('DELETE', '/link')).status).to.equal(200)
    expect((await ask('PUT', '/file-link', { body: 'mine' })).status).to.equal(200)
    expect(readdirSync(outside)).to.deep.equal(['precious'])
    expect(readFileSync(join(outside, 'precious'), 'utf8')).to.equal('x')
    rmSync(outside, { recursive: true })
  })

  it('changes nothing for pages of other sites', async () => {
    writeFileSync(at('kept'), 'x')
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ])
      for (const [method, path] of [
        ['DELETE', '/kept'],
        ['PUT', '/kept'],
        ['POST', '/kept?rename=x'],
        ['POST', '/made?make=folder'],
      ] as const)
        expect((await ask(method, path, { headers })).status, JSON.stringify(headers)).to.equal(403)
    expect(readFileSync(at('kept'), 'utf8')).to.equal('x')
    const own = { origin: program.base, 'sec-fetch-site': 'same-origin' }
    expect((await ask('DELETE', '/kept', { headers: own })).status).to.equal(200)
  })

  it('shows names as what they are', async () => {
    const name = `<img src=x onerror=alert(1)>"'`
    writeFileSync(at(name), '')
    const listing = await (await ask('GET', '/')).text()
    expect(listing).to.not.include('<img')
    expect(listing).to.include('&#60;img src=x onerror=alert(1)&#62;')
  })

  it('keeps the file that was there when an upload breaks off', async () => {
    writeFileSync(at('whole'), 'as it was')
    const { hostname, port } = new URL(program.base)
    const broken = request({
      hostname,
      port,
      path: '/whole',
      method: 'PUT',
      headers: { ...bearer, 'content-length': '100000' },
    })
    broken.on('error', () => {})
    broken.write('half')
    await eventually(() => expect(readdirSync(program.home).some((name) => name.startsWith('.upload-'))).to.equal(true))
    broken.destroy()
    await eventually(() =>
      expect(readdirSync(program.home).some((name) => name.startsWith('.upload-'))).to.equal(false),
    )
    expect(readFileSync(at('whole'), 'utf8')).to.equal('as it was')
  })
})
