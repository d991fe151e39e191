/** The first session that anyone starts: a page that says which one it is, and that it lives. */
import { escapeHtml, page, sendPage, sendProblem, serve } from './token-gate.js'

const title = process.env.HELLO_TITLE || 'Hello'
const sessionId = process.env.STREAMSPACE_SESSION_ID ?? '-'
const user = process.env.STREAMSPACE_USER ?? '-'
const startedAt = new Date(Date.now() - process.uptime() * 1000)
let visits = 0

const style = `
h1 { margin: 0 0 .25rem; font-size: 2rem }
.lead { color: var(--soft); margin: 0 0 1.5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.5rem; margin: 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.live::before { content: ''; display: inline-block; width: .6rem; height: .6rem; margin-right: .5rem; border-radius: 50%; background: #2fae66 }
.gone::before { background: #d9534f }
`

// What is shown comes from the session again and again: a page that stands still would not say that it lives.
const script = `
const show = (id, text) => { document.getElementById(id).textContent = text }
const spoken = (s) => [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]
  .map(([size, unit]) => { const n = Math.floor(s / size); s -= n * size; return n ? n + ' ' + unit : '' })
  .filter(Boolean).slice(0, 2).join(' ') || '0 s'
const look = async () => {
  const state = document.getElementById('state')
  try {
    const now = await (await fetch('/status', { signal: AbortSignal.timeout(3000) })).json()
    show('uptime', spoken(now.uptimeSeconds)); show('memory', now.memoryMib + ' MiB'); show('time', new Date(now.time).toLocaleString())
    state.className = 'live'; state.textContent = 'running'
  } catch { state.className = 'live gone'; state.textContent = 'not answering' }
}
look(); setInterval(() => { if (!document.hidden) look() }, 1000)
`

const row = (name, id, value) => `<dt>${name}</dt><dd id="${id}">${escapeHtml(value)}</dd>`

const body = () => `<div class="card">
<h1>${escapeHtml(title)}</h1>
<p class="lead">This page is served by a session of StreamSpace. It is yours alone.</p>
<dl>
<dt>State</dt><dd id="state" class="live">running</dd>
${row('Session', 'session', sessionId)}
${row('User', 'user', user)}
${row('Running since', 'since', startedAt.toISOString())}
${row('For', 'uptime', `${Math.round(process.uptime())} s`)}
${row('Time there', 'time', new Date().toISOString())}
${row('Memory', 'memory', `${status().memoryMib} MiB`)}
${row('Visits', 'visits', String(visits))}
</dl></div>`

const status = () => ({
  sessionId,
  user,
  title,
  uptimeSeconds: Math.round(process.uptime()),
  memoryMib: Math.round(process.memoryUsage.rss() / (1024 * 1024)),
  time: new Date().toISOString(),
})

serve('hello-web', async (request, response, url) => {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return sendProblem(response, 405, 'This page is only for reading')
  if (url.pathname === '/status') {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    return void response.end(`${JSON.stringify(status())}\n`)
  }
  if (url.pathname !== '/') return sendProblem(response, 404, 'There is nothing here')
  visits += 1
  sendPage(response, 200, page(title, body(), { style, script }))
})
