/**
 * The image that the Dockerfile makes, without the registries that it needs: the files of this checkout and what
 * `npm ci --omit=dev --omit=optional` leaves, laid out as there, on this machine's Node and a busybox instead of Debian.
 * What the image is told of users, entry point and settings is read from the Dockerfile itself.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type Docker from 'dockerode'
import { busyboxFiles, importImage } from './docker-engine.ts'

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const REPOSITORY = 'streamspace/under-test'

/** Of the Dockerfile: what an import can be told as well. */
const TOLD = /^(ENV|EXPOSE|WORKDIR|USER|ENTRYPOINT|CMD) /

let made: Promise<string> | undefined

/** Its name. Made once a run, and not at all where one of the same content is there. */
export const projectImage = (docker: Docker): Promise<string> => {
  made ??= make(docker)
  return made
}

const make = async (docker: Docker): Promise<string> => {
  const names = await inContext()
  const image = `${REPOSITORY}:${await fingerprint(names)}`
  const there = await docker
    .getImage(image)
    .inspect()
    .catch(() => null)
  if (there !== null) return image
  const rootfs = await mkdtemp(join(tmpdir(), 'streamspace-rootfs-'))
  try {
    await system(rootfs)
    await program(join(rootfs, 'app'), names)
    await importImage(docker, rootfs, image, await changes())
  } finally {
    await rm(rootfs, { recursive: true, force: true })
  }
  await removeOlder(docker, image)
  return image
}

const AN_HOUR_S = 3_600

/** One stays for the next run. Those of another run that goes on now are not as old, or are in use. */
const removeOlder = async (docker: Docker, image: string): Promise<void> => {
  const all = await docker.listImages({ filters: { reference: [`${REPOSITORY}:*`] } })
  const old = all.filter(({ Created }) => Created < Date.now() / 1_000 - AN_HOUR_S)
  for (const name of old.flatMap(({ RepoTags }) => RepoTags ?? []))
    if (name !== image)
      await docker
        .getImage(name)
        .remove()
        .catch(() => {})
}

/** What `.dockerignore` lets in. */
const inContext = async (): Promise<readonly string[]> =>
  (await readFile(join(root, '.dockerignore'), 'utf8'))
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))

const changes = async (): Promise<readonly string[]> =>
  (await readFile(join(root, 'Dockerfile'), 'utf8')).split('\n').filter((line) => TOLD.test(line))

const fingerprint = async (names: readonly string[]): Promise<string> => {
  const hash = createHash('sha256').update(process.version)
  for (const name of ['Dockerfile', ...names].sort())
    for (const file of await filesAt(name)) hash.update(`\0${file}\0`).update(await readFile(join(root, file)))
  return hash.digest('hex').slice(0, 16)
}

const filesAt = async (name: string): Promise<readonly string[]> => {
  const entries = await readdir(join(root, name), { recursive: true, withFileTypes: true }).catch(() => null)
  if (entries === null) return [name]
  return entries
    .flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name).slice(root.length + 1)] : []))
    .sort()
}

/** A shell, Node where the official image has it, and the libraries that it is linked against. */
const system = async (rootfs: string): Promise<void> => {
  await busyboxFiles(rootfs)
  await chmod(join(rootfs, 'tmp'), 0o1777)
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n')
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\nnode:x:1000:\n')
  const linked = execFileSync('ldd', [process.execPath], { encoding: 'utf8' })
  const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? [])
  for (const [from, to] of [[process.execPath, '/usr/local/bin/node'], ...libraries.map((path) => [path, path])] as [
    string,
    string,
  ][]) {
    await mkdir(dirname(join(rootfs, to)), { recursive: true })
    execFileSync('cp', ['-L', from, join(rootfs, to)])
  }
}

const program = async (app: string, names: readonly string[]): Promise<void> => {
  await mkdir(join(app, 'node_modules/node/bin'), { recursive: true })
  await mkdir(join(app, 'node_modules/.bin'))
  await symlink('/usr/local/bin/node', join(app, 'node_modules/node/bin/node'))
  await symlink('../node/bin/node', join(app, 'node_modules/.bin/node'))
  execFileSync('cp', ['-a', '--parents', ...names, ...(await productionModules()), app], { cwd: root })
}

type Lock = {
  readonly packages: { readonly [path: string]: { dev?: boolean; optional?: boolean; devOptional?: boolean } }
}

/** Those in a package's own folder come along with it. */
const productionModules = async (): Promise<readonly string[]> => {
  const { packages }: Lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(packages).flatMap(([path, { dev, optional, devOptional }]) =>
    path.lastIndexOf('node_modules/') === 0 && path !== 'node_modules/node' && !dev && !optional && !devOptional
      ? [path]
      : [],
  )
}
