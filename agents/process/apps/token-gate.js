/**
 * What the web programs that ship have in common: only who has the session's access token gets in. The
 * endpoint's URL carries it once; from then on a cookie does, which no other page can send or read.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const token = process.env.STREAMSPACE_ACCESS_TOKEN ?? ''
const port = Number(process.env.PORT ?? 8080)
const host = process.env.HOST ?? '127.0.0.1'
// Cookies do not know ports: sessions on one host would overwrite each other's.
const cookieName = `streamspace_${port}`

const digest = (text) => createHash('sha256').update(text).digest()
const isToken = (given) => token !== '' && timingSafeEqual(digest(given), digest(token))

export const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const cookieOf = (request) => {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const [name, ...value] = part.trim().split('=')
    if (name === cookieName) return decodeURIComponent(value.join('='))
  }
  return ''
}

const mayEnter = (request) => {
  const [scheme, credential = ''] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() === 'bearer' && isToken(credential)) return true
  try {
    return isToken(cookieOf(request))
  } catch {
    return false
  }
}

/**
 * Browsers say where a request comes from. One that changes something must come from a page of this very
 * program; programs that are no browser say nothing and have sent the token themselves.
 */
export const isSameOrigin = (request) => {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  const { origin } = request.headers
  if (origin === undefined) return true
  try {
    return new URL(origin).host === request.headers.host
  } catch {
    return false
  }
}

export const pageStyle = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7c; --line: #dfe4ea; --paper: #fff; --back: #f5f7fa; --accent: #2f6fde }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf3; --soft: #9aa7b5; --line: #2e3845; --paper: #1a212b; --back: #12171e; --accent: #76a5ff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 56rem; margin: 0 auto; padding: 2rem 1rem }
a { color: var(--accent) }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.5rem }
`

export const page = (title, body, { style = '', script = '', theme = '' } = {}) => `<!doctype html>
<html lang="en"${theme === '' ? '' : ` data-theme="${escapeHtml(theme)}"`}>
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>${pageStyle}${style}</style></head>
<body><main>${body}</main>${script === '' ? '' : `<script>${script}</script>`}</body></html>
`

export const sendPage = (response, status, html, headers = {}) => {
  const body = Buffer.from(html)
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    ...headers,
  })
  response.end(body)
}

export const sendProblem = (response, status, message) =>
  sendPage(
    response,
    status,
    page(
      message,
      `<div class="card"><h1>${escapeHtml(message)}</h1><p><a href="/">Back to the beginning</a></p></div>`,
    ),
  )

const refuse = (response) =>
  sendPage(
    response,
    401,
    page(
      'This session is private',
      `<div class="card"><h1>This session is private</h1>
<p>Open it with the URL of its endpoint, which <code>streamspace session get</code> shows.
It carries the access token of the session.</p></div>`,
    ),
    { 'www-authenticate': 'Bearer' },
  )

/** The token leaves the address bar as soon as it has done its work. */
const enter = (request, response, url) => {
  url.searchParams.delete('token')
  const path = `${url.pathname.replace(/^\/+/, '/')}${url.search}`
  response.writeHead(303, {
    location: path,
    'set-cookie': `${cookieName}=${encodeURIComponent(token)}; Path=/; HttpOnly; SameSite=Lax`,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
  })
  response.end(request.method === 'HEAD' ? undefined : 'Welcome\n')
}

const answer = async (request, response, handle) => {
  // Not as a base: `//host/path` would be somebody else's URL.
  const url = new URL(`http://session${request.url?.startsWith('/') ? request.url : '/'}`)
  if (url.pathname === '/healthz') {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.end('ok\n')
    return
  }
  const given = url.searchParams.get('token')
  if (given !== null && (request.method === 'GET' || request.method === 'HEAD')) {
    if (isToken(given)) enter(request, response, url)
    else refuse(response)
    return
  }
  if (!mayEnter(request)) {
    refuse(response)
    return
  }
  await handle(request, response, url)
}

/** Serves what `handle(request, response, url)` answers to those who may enter, until SIGTERM. */
export const serve = (name, handle) => {
  if (token === '') {
    console.error(`${name}: STREAMSPACE_ACCESS_TOKEN is not set; nobody could be let in`)
    process.exit(1)
  }
  const server = createServer((request, response) => {
    answer(request, response, handle).catch((error) => {
      console.error(`${name}: ${request.method} ${(request.url ?? '').split('?')[0]}: ${error?.message ?? error}`)
      if (response.headersSent) response.destroy()
      else sendProblem(response, 500, 'Something went wrong')
    })
  })
  server.on('error', (error) => {
    console.error(`${name}: ${error.message}`)
    process.exit(1)
  })
  server.listen(port, host, () => console.log(`${name} listens on ${host}:${port}`))
  const end = () => {
    server.close(() => process.exit(0))
    server.closeAllConnections()
  }
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
}
