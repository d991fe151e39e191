/**
 * What Node has compiled of the program is kept beside the installed packages, for the next start: that takes half as
 * long then, which is felt at each command and by whoever waits for a server that was killed. Node looks at the contents
 * of each file before it takes what is kept.
 */
import { statSync } from 'node:fs'
import { enableCompileCache, flushCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const packages = fileURLToPath(new URL('../../node_modules/', import.meta.url))
export const COMPILED = `${packages}.cache/compiled`

/** To be called before the rest of the program is read. Whose the packages are not leaves nothing there. */
export const keepCompiled = (): void => {
  // Coverage is told wrongly of functions that were compiled earlier.
  if (process.env.NODE_V8_COVERAGE !== undefined) return
  try {
    if (statSync(packages).uid === process.getuid?.()) enableCompileCache(COMPILED)
  } catch {
    // It starts slower.
  }
}

/** Node writes at an orderly end, which a service may never come to. */
export const writeCompiled = (): void => flushCompileCache()
