/**
 * From a path in a URL to a file below the session's home: never out of it, whatever the path says and
 * wherever links in the home lead.
 */
import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'

const home = process.env.HOME ?? process.cwd()
await mkdir(home, { recursive: true })
export const root = await realpath(home)

export class PathRefused extends Error {}

/** The names in a URL's path; refuses what no file can be called. */
export const namesIn = (pathname) => {
  let names
  try {
    names = pathname
      .split('/')
      .map(decodeURIComponent)
      .filter((name) => name !== '' && name !== '.')
  } catch {
    throw new PathRefused('this path is not spelt correctly')
  }
  for (const name of names) assertName(name)
  return names
}

export const assertName = (name) => {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\\') || name.includes('\0'))
    throw new PathRefused('this is not a name for a file')
  if (Buffer.byteLength(name) > 255) throw new PathRefused('this name is too long')
}

const isBelow = (path) => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)

/** The file itself, links followed: for reading. */
export const existing = async (names) => {
  const real = await realpath(join(root, ...names))
  if (!isBelow(real)) throw new PathRefused('this leads out of the home')
  return real
}

/** An entry of a folder, a last link not followed: for making, renaming and deleting it. */
export const entry = async (names) => {
  if (names.length === 0) throw new PathRefused('this is the home itself')
  const path = join(root, ...names)
  const folder = await realpath(dirname(path))
  if (!isBelow(folder)) throw new PathRefused('this leads out of the home')
  return join(folder, basename(path))
}

export const urlOf = (names) => `/${names.map(encodeURIComponent).join('/')}`
