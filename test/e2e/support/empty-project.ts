/** An empty project that has our client, as anybody would install it: from its tarball, outside of this tree. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root, type Scene } from './scene.ts'

const run = promisify(execFile)

export type EmptyProject = {
  readonly folder: string
  readonly write: (file: string, text: string) => Promise<void>
  /** What `node <file>` prints. */
  readonly node: (file: string, env: { readonly [name: string]: string }) => Promise<string>
  /** What tsc has to say of these files, as strict as it can be; empty: nothing. */
  readonly checked: (files: readonly string[]) => Promise<string>
}

export const projectWithClient = async (here: Scene): Promise<EmptyProject> => {
  const folder = join(await here.folder(), 'project')
  await mkdir(folder)
  const write: EmptyProject['write'] = (file, text) => writeFile(join(folder, file), text)
  await write('package.json', JSON.stringify({ name: 'tutorial', version: '1.0.0', private: true, type: 'module' }))
  const packing = ['scripts/client/pack.ts', '--out', folder]
  const { stdout } = await run(process.execPath, packing, { cwd: root })
  // What it depends on comes from here: a test needs no network.
  const dependencies = ['@types/node', 'undici-types', 'eventsource-parser', 'fp-ts', 'io-ts'].map((name) =>
    join(root, 'node_modules', name),
  )
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', stdout.trim(), ...dependencies], { cwd: folder })
  return {
    folder,
    write,
    node: async (file, env) => {
      const { PATH = '' } = process.env
      return (await run(process.execPath, [file], { cwd: folder, env: { PATH, ...env }, timeout: 60_000 })).stdout
    },
    checked: async (files) => {
      const options = [
        ...[
          '--noEmit',
          '--strict',
          '--exactOptionalPropertyTypes',
          '--noUncheckedIndexedAccess',
          '--skipLibCheck',
          'false',
        ],
        ...['--module', 'nodenext', '--target', 'es2024', '--allowImportingTsExtensions'],
        ...['--types', 'node'],
      ]
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      return run(process.execPath, [tsc, ...options, ...files], { cwd: folder }).then(
        () => '',
        (error: { readonly stdout: string }) => error.stdout,
      )
    },
  }
}
