/** Streams a file, or the part of it that was asked for. */
import { open } from 'node:fs/promises'
import { constants } from 'node:fs'
import { basename, extname } from 'node:path'
import { pipeline } from 'node:stream/promises'

const types = {
  '.avif': 'image/avif',
  '.css': 'text/css; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.gif': 'image/gif',
  '.htm': 'text/html; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.log': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webm': 'video/webm',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.xml': 'text/xml; charset=utf-8',
}

export const typeOf = (path) => types[extname(path).toLowerCase()] ?? 'application/octet-stream'

const partOf = (header, size) => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === undefined || (first === '' && last === '')) return null
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start <= end && start < size ? { start, end } : 'none'
}

/** `path` is where the file really is: a link put in its place meanwhile is not followed. */
export const sendFile = async (request, response, path, { download = false, headers = {}, status = 200 } = {}) => {
  // Not blocking: opening a pipe would wait for somebody to write into it.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw Object.assign(new Error('not a file'), { code: 'EISDIR' })
    const etag = `"${stats.size.toString(16)}-${Math.trunc(stats.mtimeMs).toString(16)}"`
    const common = {
      'content-type': typeOf(path),
      etag,
      'last-modified': stats.mtime.toUTCString(),
      'accept-ranges': 'bytes',
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      ...(download
        ? {
            'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(basename(path)).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`,
          }
        : {}),
      ...headers,
    }
    if (status === 200 && request.headers['if-none-match'] === etag) {
      response.writeHead(304, common)
      return void response.end()
    }
    const part = status === 200 ? partOf(request.headers.range, stats.size) : null
    if (part === 'none') {
      response.writeHead(416, { 'content-range': `bytes */${stats.size}` })
      return void response.end()
    }
    const { start, end } = part ?? { start: 0, end: stats.size - 1 }
    response.writeHead(part === null ? status : 206, {
      ...common,
      'content-length': Math.max(0, end - start + 1),
      ...(part === null ? {} : { 'content-range': `bytes ${start}-${end}/${stats.size}` }),
    })
    if (request.method === 'HEAD' || end < start) return void response.end()
    await pipeline(file.createReadStream({ start, end, autoClose: false }), response)
  } catch (error) {
    // Whoever asked has gone away.
    if (error?.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  } finally {
    await file.close()
  }
}
