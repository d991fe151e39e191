/** Serves the files of the session's home as a site. The first start makes a page to begin with. */
import { access, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { existing, namesIn, PathRefused, root } from './home-paths.js'
import { sendFile } from './send-file.js'
import { escapeHtml, sendProblem, serve } from './token-gate.js'

const title = process.env.SITE_TITLE || 'Home'
const theme = process.env.SITE_THEME === 'dark' ? 'dark' : 'light'

const themes = {
  light: 'background: #f7f8fa; color: #1c2430',
  dark: 'background: #12171e; color: #e8edf3',
}

const firstPage = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>${escapeHtml(title)}</title>
  <style>
    body { margin: 0; ${themes[theme]}; font: 18px/1.6 system-ui, sans-serif }
    main { max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem }
  </style>
</head>
<body>
  <main>
    <h1>${escapeHtml(title)}</h1>
    <p>This site serves the files of the session's home. Replace <code>index.html</code> with your own.</p>
  </main>
</body>
</html>
`

// Never over a page that somebody wrote.
await writeFile(join(root, 'index.html'), firstPage, { flag: 'wx' }).catch((error) => {
  if (error.code !== 'EEXIST') throw error
})

const isThere = (path) =>
  access(path).then(
    () => true,
    () => false,
  )

const send = async (request, response, url) => {
  const names = namesIn(url.pathname)
  // Settings and keys that programs keep in a home are no part of a site.
  if (names.some((name) => name.startsWith('.'))) throw new PathRefused('hidden files are not served')
  const path = await existing(names)
  if (!(await stat(path)).isDirectory()) return sendFile(request, response, path)
  if (!url.pathname.endsWith('/')) {
    response.writeHead(301, { location: `${url.pathname}/${url.search}` })
    return void response.end()
  }
  return sendFile(request, response, await existing([...names, 'index.html']))
}

serve('static-site', async (request, response, url) => {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return sendProblem(response, 405, 'This site is only for reading')
  try {
    await send(request, response, url)
  } catch (error) {
    if (
      !(error instanceof PathRefused) &&
      !['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG'].includes(error?.code)
    )
      throw error
    if (response.headersSent) return void response.destroy()
    const notFound = join(root, '404.html')
    if (await isThere(notFound)) {
      const sent = await existing(['404.html'])
        .then((path) => sendFile(request, response, path, { status: 404 }))
        .then(
          () => true,
          () => false,
        )
      if (sent || response.headersSent) return
    }
    sendProblem(response, 404, 'There is nothing here')
  }
})
