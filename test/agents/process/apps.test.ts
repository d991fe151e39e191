import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { bearer, type Program, raw, started, TOKEN } from '../../support/web-program.ts'

const programs = ['hello-web', 'file-browser', 'static-site'] as const

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
