/**
 * A file browser over the session's home: look, download, upload, make folders, rename, delete. Everything
 * that changes something is a POST, a PUT or a DELETE from a page of its own.
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { randomUUID } from 'node:crypto'
import { assertName, entry, existing, namesIn, PathRefused, urlOf } from './home-paths.js'
import { sendFile } from './send-file.js'
import { escapeHtml, isSameOrigin, page, sendPage, sendProblem, serve } from './token-gate.js'

const title = process.env.BROWSER_TITLE || 'Files'

const style = `
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: baseline; margin-bottom: 1rem }
h1 { font-size: 1.4rem; margin: 0 } nav { color: var(--soft); overflow-wrap: anywhere }
.bar { display: flex; flex-wrap: wrap; gap: .5rem; margin-bottom: 1rem }
button, .button { font: inherit; font-size: .9rem; padding: .35rem .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--paper); color: var(--ink); cursor: pointer }
button:hover, .button:hover, button:focus-visible { border-color: var(--accent) }
.quiet { border-color: transparent; background: none; color: var(--soft); padding: .2rem .5rem }
table { width: 100%; border-collapse: collapse; background: var(--paper); border: 1px solid var(--line); border-radius: 10px }
th, td { text-align: left; padding: .5rem .75rem; border-top: 1px solid var(--line); overflow-wrap: anywhere }
th { border: 0; color: var(--soft); font-weight: 500; font-size: .85rem } .right { text-align: right; white-space: nowrap }
td a { text-decoration: none } .empty { color: var(--soft); padding: 2rem; text-align: center }
#said { min-height: 1.5rem; color: var(--soft) } body.over { outline: 3px dashed var(--accent); outline-offset: -6px }
@media (max-width: 40rem) { .wide { display: none } }
`

const script = `
const here = location.pathname.endsWith('/') ? location.pathname : location.pathname + '/'
const said = (text) => { document.getElementById('said').textContent = text }
const ask = async (method, path, options = {}) => {
  const answer = await fetch(path, { method, ...options })
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText)
}
const doing = async (what, work) => {
  said(what + ' …')
  try { await work(); location.reload() } catch (error) { said(error.message) }
}
const at = (name) => here + encodeURIComponent(name)
const upload = (files) => doing('Uploading', async () => {
  for (const file of files) {
    said('Uploading ' + file.name + ' …')
    const there = [...document.querySelectorAll('tr[data-name]')].some((row) => row.dataset.name === file.name)
    if (there && !confirm(file.name + ' is there already. Replace it?')) continue
    await ask('PUT', at(file.name), { body: file })
  }
})
document.getElementById('files').addEventListener('change', (event) => upload(event.target.files))
document.getElementById('folder').addEventListener('click', () => {
  const name = prompt('Name of the new folder')
  if (name) doing('Making ' + name, () => ask('POST', at(name) + '?make=folder'))
})
document.querySelector('table')?.addEventListener('click', (event) => {
  const action = event.target.dataset.action
  if (!action) return
  const { name, kind } = event.target.closest('tr').dataset
  if (action === 'delete' && confirm('Delete ' + name + (kind === 'folder' ? ' and everything in it?' : '?')))
    doing('Deleting ' + name, () => ask('DELETE', at(name)))
  if (action === 'rename') {
    const to = prompt('New name', name)
    if (to && to !== name) doing('Renaming ' + name, () => ask('POST', at(name) + '?rename=' + encodeURIComponent(to)))
  }
})
addEventListener('dragover', (event) => { event.preventDefault(); document.body.classList.add('over') })
addEventListener('dragleave', (event) => { if (!event.relatedTarget) document.body.classList.remove('over') })
addEventListener('drop', (event) => { event.preventDefault(); document.body.classList.remove('over'); upload(event.dataTransfer.files) })
`

const sizeOf = (bytes) => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  return `${step === 0 ? bytes : (bytes / 1024 ** step).toFixed(1)} ${units[step]}`
}

const MAX_SHOWN = 5_000

const listing = async (folder) => {
  const names = await readdir(folder)
  const found = await Promise.all(
    names.slice(0, MAX_SHOWN).map(async (name) => {
      const path = join(folder, name)
      const stats = await stat(path).catch(() => lstat(path).catch(() => null))
      return stats === null ? null : { name, isFolder: stats.isDirectory(), size: stats.size, changed: stats.mtime }
    }),
  )
  return found
    .filter((one) => one !== null && !isUnfinished(one.name))
    .sort(
      (a, b) => Number(b.isFolder) - Number(a.isFolder) || a.name.localeCompare(b.name, undefined, { numeric: true }),
    )
}

const rowOf = (names, { name, isFolder, size, changed }) => {
  const path = urlOf([...names, name])
  const link = isFolder ? `${path}/` : path
  return `<tr data-name="${escapeHtml(name)}" data-kind="${isFolder ? 'folder' : 'file'}">
<td>${isFolder ? '📁' : '📄'} <a href="${escapeHtml(link)}">${escapeHtml(name)}</a></td>
<td class="right wide">${isFolder ? '' : sizeOf(size)}</td>
<td class="right wide">${changed.toISOString().slice(0, 16).replace('T', ' ')}</td>
<td class="right">${isFolder ? '' : `<a class="quiet button" href="${escapeHtml(path)}?download" download>Download</a>`}
<button class="quiet" data-action="rename">Rename</button><button class="quiet" data-action="delete">Delete</button></td></tr>`
}

const crumbs = (names) =>
  [
    '<a href="/">home</a>',
    ...names.map((name, i) => `<a href="${escapeHtml(urlOf(names.slice(0, i + 1)))}/">${escapeHtml(name)}</a>`),
  ].join(' / ')

const sendListing = async (response, folder, names) => {
  const found = await listing(folder)
  const rows = found.map((one) => rowOf(names, one)).join('\n')
  const table =
    found.length === 0
      ? '<div class="card empty">Nothing here yet. Drop files onto this page to upload them.</div>'
      : `<table><thead><tr><th>Name</th><th class="right wide">Size</th><th class="right wide">Changed (UTC)</th><th></th></tr></thead><tbody>${rows}</tbody></table>`
  sendPage(
    response,
    200,
    page(
      title,
      `<header><h1>${escapeHtml(title)}</h1><nav>${crumbs(names)}</nav></header>
<div class="bar"><label class="button">Upload<input id="files" type="file" multiple hidden></label>
<button id="folder">New folder</button></div><div id="said" role="status"></div>${table}`,
      { style, script },
    ),
  )
}

const look = async (request, response, url) => {
  const names = namesIn(url.pathname)
  const path = await existing(names)
  if ((await stat(path)).isDirectory()) {
    if (url.pathname.endsWith('/')) return sendListing(response, path, names)
    response.writeHead(303, { location: `${urlOf(names)}/` })
    return void response.end()
  }
  const download = url.searchParams.has('download')
  // A page or picture from the home must not act in the name of this program.
  return sendFile(request, response, path, {
    download,
    headers: {
      'content-security-policy':
        "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    },
  })
}

const UNFINISHED = /^\.upload-[0-9a-f-]{36}$/
const isUnfinished = (name) => UNFINISHED.test(name)

/** Written beside it first: an upload that breaks off leaves what was there before. */
const upload = async (request, response, names) => {
  const path = await entry(names)
  const found = await lstat(path).catch(() => null)
  if (found?.isDirectory()) return sendText(response, 409, 'a folder has this name')
  const beside = join(dirname(path), `.upload-${randomUUID()}`)
  const file = await open(
    beside,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644,
  )
  try {
    await pipeline(request, file.createWriteStream())
    await rename(beside, path)
  } catch (error) {
    await unlink(beside).catch(() => {})
    throw error
  }
  sendText(response, found === null ? 201 : 200, 'uploaded')
}

const makeFolder = async (response, names) => {
  await mkdir(await entry(names))
  sendText(response, 201, 'made')
}

const renameTo = async (response, names, name) => {
  assertName(name)
  const from = await entry(names)
  const to = join(dirname(from), name)
  await lstat(from)
  if (
    await lstat(to).then(
      () => true,
      () => false,
    )
  )
    return sendText(response, 409, `${name} is there already`)
  await rename(from, to)
  sendText(response, 200, 'renamed')
}

/** A link is removed itself, never what it leads to. */
const remove = async (response, names) => {
  const path = await entry(names)
  await lstat(path)
  await rm(path, { recursive: true })
  sendText(response, 200, `deleted ${basename(path)}`)
}

const sendText = (response, status, text) => {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  response.end(`${text}\n`)
}

const change = async (request, response, url) => {
  // Pages of other sites can send requests too, with this session's cookie.
  if (!isSameOrigin(request)) return sendText(response, 403, 'this must come from a page of this file browser')
  const names = namesIn(url.pathname)
  const newName = url.searchParams.get('rename')
  if (request.method === 'PUT') return upload(request, response, names)
  if (request.method === 'DELETE') return remove(response, names)
  if (url.searchParams.get('make') === 'folder') return makeFolder(response, names)
  if (newName !== null) return renameTo(response, names, newName)
  return sendText(response, 400, 'what to do is not said: ?make=folder or ?rename=…')
}

const known = {
  ENOENT: [404, 'There is nothing here'],
  ENOTDIR: [404, 'There is nothing here'],
  ELOOP: [404, 'There is nothing here'],
  EEXIST: [409, 'That name is taken'],
  ENOTEMPTY: [409, 'That name is taken'],
  EACCES: [403, 'The home does not allow this'],
  EPERM: [403, 'The home does not allow this'],
  ENOSPC: [507, 'The disk is full'],
  EDQUOT: [507, 'The disk is full'],
  ENAMETOOLONG: [400, 'This name is too long'],
  EISDIR: [409, 'This is no file'],
  EINVAL: [400, 'This cannot be done'],
}

serve('file-browser', async (request, response, url) => {
  const reads = request.method === 'GET' || request.method === 'HEAD'
  try {
    if (reads) await look(request, response, url)
    else if (['POST', 'PUT', 'DELETE'].includes(request.method)) await change(request, response, url)
    else sendText(response, 405, 'GET, PUT, POST and DELETE are understood')
  } catch (error) {
    const [status, message] =
      error instanceof PathRefused ? [400, error.message] : (known[error?.code] ?? [500, 'Something went wrong'])
    if (status === 500) throw error
    if (response.headersSent) response.destroy()
    else if (reads) sendProblem(response, status, message)
    else sendText(response, status, message)
  }
})
