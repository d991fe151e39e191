import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
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
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { findFreePorts } from '../../../agents/process/free-ports.ts'
import { eventually } from '../../support/eventually.ts'

const TOKEN = 'the-token-of-this-session'
const bearer = { authorization: `Bearer ${TOKEN}` }
const programs = ['hello-web', 'file-browser', 'static-site'] as const

type Program = {
  readonly base: string
  readonly home: string
  readonly child: ChildProcess
  readonly close: () => Promise<void>
}

const started = async (name: string, env: { readonly [name: string]: string } = {}): Promise<Program> => {
  const home = mkdtempSync(join(tmpdir(), 'home-'))
  const { http: port } = await findFreePorts('127.0.0.1', ['http'], {}, new Set())
  const script = fileURLToPath(new URL(`../../../agents/process/apps/${name}.js`, import.meta.url))
  const child = spawn(process.execPath, [script], {
    env: {
      HOME: home,
      PORT: String(port),
      STREAMSPACE_ACCESS_TOKEN: TOKEN,
      STREAMSPACE_SESSION_ID: 'session-1',
      STREAMSPACE_USER: 'ada <b>',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const base = `http://127.0.0.1:${port}`
  await eventually(async () => expect((await fetch(`${base}/healthz`)).status).to.equal(200))
  return {
    base,
    home,
    child,
    close: async () => {
      if (child.exitCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** As no well-behaved client sends it: the path stays as it is. */
const raw = (base: string, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const asked = request({ hostname, port, path, headers: bearer }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    asked.on('error', reject)
    asked.end()
  })

for (const name of programs)
  describe(`${name}, as every web program that ships`, () => {
    let program: Program
    before(async () => {
      program = await started(name)
    })
    after(() => program.close())

    it('lets nobody in without the token, and says how to get in', async () => {
      for (const [path, headers] of [
        ['/', {}],
        ['/?token=wrong', {}],
        ['/?token=', {}],
        ['/any/where', {}],
        ['/', { authorization: 'Bearer wrong' }],
        ['/', { cookie: `streamspace_${new URL(program.base).port}=%zz` }],
      ] as const) {
        const answer = await fetch(program.base + path, { headers, redirect: 'manual' })
        expect(answer.status, path).to.equal(401)
        expect(await answer.text()).to.match(/endpoint/)
      }
    })

    it('lets in who opens the URL of the endpoint, and takes the token out of the address', async () => {
      const answer = await fetch(`${program.base}/?token=${TOKEN}&a=b`, { redirect: 'manual' })
      expect(answer.status).to.equal(303)
      expect(answer.headers.get('location')).to.equal('/?a=b')
      const cookie = answer.headers.get('set-cookie')!
      expect(cookie).to.match(
        new RegExp(`^streamspace_${new URL(program.base).port}=.*; Path=/; HttpOnly; SameSite=Lax$`),
      )
      const inside = await fetch(program.base, { headers: { cookie: `other=1; ${cookie.split(';')[0]}` } })
      expect(inside.status).to.equal(200)
      expect(inside.headers.get('content-type')).to.match(/^text\/html/)
    })

    it('never sends a browser to another host', async () => {
      const answer = await fetch(`${program.base}//evil.example/?token=${TOKEN}`, { redirect: 'manual' })
      expect(answer.headers.get('location') ?? '/').to.match(/^\/(?!\/)/)
    })

    it('takes the token as a bearer', async () => {
      expect((await fetch(program.base, { headers: bearer })).status).to.equal(200)
    })

    it('ends well when it is asked to, whoever is connected', async () => {
      const other = await started(name)
      const socket = connect(Number(new URL(other.base).port), '127.0.0.1')
      await once(socket, 'connect')
      socket.on('error', () => {})
      other.child.kill('SIGTERM')
      const [code] = await once(other.child, 'exit')
      expect(code).to.equal(0)
      socket.destroy()
      await other.close()
    })

    it('does not start without a token', async () => {
      const script = fileURLToPath(new URL(`../../../agents/process/apps/${name}.js`, import.meta.url))
      const child = spawn(process.execPath, [script], { env: { HOME: program.home, PORT: '0' }, stdio: 'ignore' })
      const [code] = await once(child, 'exit')
      expect(code).to.equal(1)
    })
  })

describe('hello-web', () => {
  it('says which session it is, for whom it runs, and that it lives', async () => {
    const program = await started('hello-web', { HELLO_TITLE: 'Hi <there>' })
    try {
      const page = await (await fetch(program.base, { headers: bearer })).text()
      expect(page).to.include('session-1').and.include('ada &#60;b&#62;').and.include('Hi &#60;there&#62;')
      expect(page).to.not.include('Hi <there>')
      const status = (await (await fetch(`${program.base}/status`, { headers: bearer })).json()) as object
      expect(status).to.include({ sessionId: 'session-1', title: 'Hi <there>' })
      expect((await fetch(`${program.base}/nothing`, { headers: bearer })).status).to.equal(404)
      expect((await fetch(program.base, { method: 'POST', headers: bearer })).status).to.equal(405)
    } finally {
      await program.close()
    }
  })
})

describe('static-site', () => {
  let program: Program
  before(async () => {
    program = await started('static-site', { SITE_TITLE: 'My <site>', SITE_THEME: 'dark' })
  })
  after(() => program.close())
  const get = (path: string, headers = {}) =>
    fetch(program.base + path, { headers: { ...bearer, ...headers }, redirect: 'manual' })

  it('makes a first page, and never over one that is there', async () => {
    const page = await (await get('/')).text()
    expect(page).to.include('My &#60;site&#62;').and.include('#12171e')
    const home = mkdtempSync(join(tmpdir(), 'home-'))
    writeFileSync(join(home, 'index.html'), 'mine')
    const other = await started('static-site', { HOME: home })
    expect(await (await fetch(other.base, { headers: bearer })).text()).to.equal('mine')
    await other.close()
    rmSync(home, { recursive: true })
  })

  it('serves files with their type, in parts, and not again when they are known', async () => {
    mkdirSync(join(program.home, 'sub'))
    writeFileSync(join(program.home, 'sub', 'index.html'), 'below')
    writeFileSync(join(program.home, 'ä b.css'), '0123456789')
    expect(await (await get('/sub/')).text()).to.equal('below')
    expect((await get('/sub')).headers.get('location')).to.equal('/sub/')
    const file = await get('/%C3%A4%20b.css')
    expect(file.headers.get('content-type')).to.equal('text/css; charset=utf-8')
    expect(await file.text()).to.equal('0123456789')
    const part = await get('/%C3%A4%20b.css', { range: 'bytes=2-4' })
    expect([part.status, part.headers.get('content-range'), await part.text()]).to.deep.equal([
      206,
      'bytes 2-4/10',
      '234',
    ])
    expect(await (await get('/%C3%A4%20b.css', { range: 'bytes=-2' })).text()).to.equal('89')
    expect((await get('/%C3%A4%20b.css', { range: 'bytes=20-' })).status).to.equal(416)
    expect((await get('/%C3%A4%20b.css', { 'if-none-match': file.headers.get('etag')! })).status).to.equal(304)
  })

  it('serves nothing from outside of the home, and nothing hidden', async () => {
    symlinkSync('/etc', join(program.home, 'etc'))
    symlinkSync('/etc/passwd', join(program.home, 'passwd'))
    writeFileSync(join(program.home, '.secret'), 'x')
    for (const path of [
      '/etc/passwd',
      '/passwd',
      '/.secret',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/..%2f..%2fetc/passwd',
      '/a%00b',
      '/%zz',
    ])
      expect(await raw(program.base, path), path).to.equal(404)
    expect(await raw(program.base, '/../../../../etc/passwd')).to.equal(404)
  })

  it('answers with the page of the home when there is nothing', async () => {
    writeFileSync(join(program.home, '404.html'), 'lost?')
    const answer = await get('/nothing')
    expect([answer.status, await answer.text()]).to.deep.equal([404, 'lost?'])
  })
})

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
