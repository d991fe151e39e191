/**
 * `npm run pack:client [-- --out <folder>]`: the package `@streamspace/client` as a tarball, in `dist/` unless told otherwise.
 * JavaScript and types are emitted by tsc from src/client/index.ts and what it imports, since Node strips no types inside
 * node_modules. Its version is the server's.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../../package.json' with { type: 'json' }

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The address of the tarball. */
export const packClient = (out: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'streamspace-client-'))
  try {
    emit(folder)
    const needed = packagesIn(join(folder, 'lib'))
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packageOf(needed), null, 2)}\n`)
    cpSync(join(root, 'src/client/README.md'), join(folder, 'README.md'))
    cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
    mkdirSync(out, { recursive: true })
    const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', resolve(out)], {
      cwd: folder,
      encoding: 'utf8',
    })
    return join(resolve(out), filenameIn(packed))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** npm 11 and older ones tell it as a list, newer ones by the package's name. */
const filenameIn = (packed: string): string => {
  const [one] = Object.values(JSON.parse(packed) as { readonly [key: string]: { readonly filename: string } })
  if (one === undefined) throw new Error(`npm pack says nothing of a file: ${packed}`)
  return one.filename
}

const emit = (folder: string): void => {
  const config = join(folder, 'tsconfig.json')
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        rewriteRelativeImportExtensions: true,
        rootDir: root,
        outDir: join(folder, 'lib'),
        typeRoots: [join(root, 'node_modules/@types')],
        types: ['node'],
      },
      files: [join(root, 'src/client/index.ts')],
      include: [],
    }),
  )
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], { stdio: 'inherit' })
  rmSync(config)
  for (const file of readdirSync(join(folder, 'lib'), { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('.d.ts')) leadToJavaScript(join(folder, 'lib', file))
}

/** tsc rewrites the imports of what it emits, but not those of declarations; and those of Node itself have to be named. */
const leadToJavaScript = (file: string): void => {
  const text = readFileSync(file, 'utf8').replaceAll(/((?:from |import\()['"]\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1.js$2')
  writeFileSync(file, /\b(Buffer|NodeJS)\b/.test(text) ? `/// <reference types="node" />\n${text}` : text)
}

/** The packages that the emitted files import. */
const packagesIn = (folder: string): readonly string[] => {
  const names = new Set<string>()
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(js|d\.ts)$/.test(file)) continue
    for (const [, name = ''] of readFileSync(join(folder, file), 'utf8').matchAll(
      /(?:from |import\()['"]((?:@[^/'"]+\/)?[^./'"][^/'"]*)/g,
    ))
      if (!name.startsWith('node:')) names.add(name)
  }
  return [...names].toSorted()
}

const onlyTypes = { '@types/node': manifest.devDependencies['@types/node'] }

const versionOf = (name: string): string => {
  const version = ({ ...manifest.dependencies, ...onlyTypes } as { readonly [name: string]: string })[name]
  if (version === undefined) throw new Error(`the client imports ${name}, which is no dependency of package.json`)
  return version
}

const packageOf = (needed: readonly string[]) => ({
  name: '@streamspace/client',
  version: manifest.version,
  description: 'The REST API of StreamSpace as typed functions',
  license: manifest.license,
  type: 'module',
  engines: { node: '>=20.3' },
  exports: { '.': { types: './lib/src/client/index.d.ts', default: './lib/src/client/index.js' } },
  files: ['lib'],
  sideEffects: false,
  dependencies: Object.fromEntries(
    [...needed, ...Object.keys(onlyTypes)].toSorted().map((name) => [name, `^${versionOf(name)}`]),
  ),
})

if (import.meta.main) {
  const at = process.argv.indexOf('--out')
  console.log(packClient(at === -1 ? join(root, 'dist') : (process.argv[at + 1] ?? 'dist')))
}
