/** The image of a session: found, or pulled with progress; what goes wrong is said so that a person can act. */
import { readFile } from 'node:fs/promises'
import { seconds } from '../../domain/template/restart.ts'
import { type Auth, type Engine, EngineError, isFullDisk } from './engine.ts'

export type ImageFound =
  | { readonly kind: 'there'; readonly id: string; readonly digest: string | null; readonly user: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string }
  | { readonly kind: 'interrupted' }

/** The registry of a reference: the first part when it looks like a host, else Docker Hub. */
export const registryOf = (image: string): string => {
  const [first = '', ...rest] = image.split('/')
  return rest.length > 0 && (first.includes('.') || first.includes(':') || first === 'localhost') ? first : 'docker.io'
}

const HUB = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io']

/** From a file as `docker login` writes it: `{"auths": {"<registry>": {"auth": "<base64 of name:password>"}}}`. */
export const authFor = async (file: string | undefined, image: string): Promise<Auth | null> => {
  if (file === undefined) return null
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new EngineError(`STREAMSPACE_DOCKER_AUTH_FILE cannot be read: ${error.message}`, 400)
  })
  const registry = registryOf(image)
  const { auths = {} } = parsedAuth(text)
  for (const name of registry === 'docker.io' ? HUB : [registry, `https://${registry}`]) {
    const encoded = auths[name]?.auth
    if (encoded === undefined) continue
    const [username = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
    return { username, password: password.join(':'), serveraddress: name }
  }
  return null
}

/** Nothing of the file is said when it cannot be read: it holds passwords. */
const parsedAuth = (text: string): { auths?: { [registry: string]: { auth?: string } } } => {
  try {
    return JSON.parse(text)
  } catch {
    throw new EngineError('STREAMSPACE_DOCKER_AUTH_FILE is not JSON', 400)
  }
}

/** What the engine and the registries say, in their own words, put under one of our reasons. */
export const whyNotPulled = (image: string, words: string): { readonly reason: string; readonly message: string } => {
  if (/no matching manifest|does not match the specified platform|image operating system/i.test(words))
    return {
      reason: 'image_pull_failed',
      message: `image ${image} is not made for this machine's architecture: ${words}`,
    }
  if (
    /unauthorized|authentication required|access denied|denied: |incorrect username or password|no basic auth/i.test(
      words,
    )
  )
    return {
      reason: 'image_pull_failed',
      message: `the registry lets nobody pull ${image}, or not with these credentials (or there is no such image): ${words}. Credentials: STREAMSPACE_DOCKER_AUTH_FILE`,
    }
  if (/manifest unknown|not found|does not exist|manifest for .* not found/i.test(words))
    return { reason: 'image_not_found', message: `there is no image ${image}: ${words}` }
  return { reason: 'image_pull_failed', message: `image ${image} cannot be pulled: ${words}` }
}

/** null: it is made for this engine, or that is not known. */
export const otherArchitecture = (image: string, its: string | undefined, engines: string | null): string | null =>
  its === undefined || its === '' || engines === null || its === engines
    ? null
    : `image ${image} is made for ${its}, and this engine runs on ${engines}: use an image for ${engines}, or install an emulator (binfmt) for ${its}`

type Waiting = {
  readonly signal: AbortSignal
  readonly progress: (reason: string, message: string) => void
  /** A pull that advances extends the deadline of the start. */
  readonly advanced: () => void
  /** A pull that does not advance for so long is given up. */
  readonly withinMs: number
}

export const ensureImage = async (
  engine: Engine,
  image: string,
  authFile: string | undefined,
  waiting: Waiting,
): Promise<ImageFound> => {
  const known = await describe(engine, image)
  if (known !== null) return known
  waiting.progress('pulling_image', `pulling ${image}`)
  const stalled = new AbortController()
  const patience = setTimeout(() => stalled.abort(), waiting.withinMs)
  const advanced = (): void => {
    patience.refresh()
    waiting.advanced()
  }
  try {
    const signal = AbortSignal.any([waiting.signal, stalled.signal])
    await engine.pull(image, await authFor(authFile, image), signal, tellProgress(image, { ...waiting, advanced }))
  } catch (error) {
    if (waiting.signal.aborted) return { kind: 'interrupted' }
    if (stalled.signal.aborted) return stalledFor(image, waiting.withinMs)
    // Neither says anything of the image: an engine that is gone, or has no room.
    if (!(error instanceof EngineError) || error.status === null || isFullDisk(error)) throw error
    return { kind: 'failed', ...whyNotPulled(image, error.message) }
  } finally {
    clearTimeout(patience)
  }
  if (stalled.signal.aborted) return stalledFor(image, waiting.withinMs)
  if (waiting.signal.aborted) return { kind: 'interrupted' }
  return (await describe(engine, image)) ?? { kind: 'failed', ...whyNotPulled(image, 'it is not there after the pull') }
}

const stalledFor = (image: string, withinMs: number): ImageFound => ({
  kind: 'failed',
  reason: 'start_timeout',
  message: `pulling ${image} did not advance for ${seconds(withinMs)}`,
})

const describe = async (engine: Engine, image: string): Promise<ImageFound | null> => {
  const found = await engine.hasImage(image)
  if (found === null) return null
  const digest = found.RepoDigests?.[0]?.split('@')[1] ?? null
  return { kind: 'there', id: found.Id, digest, user: found.Config?.User ?? '' }
}

const TELL_EVERY_MS = 1_000

/** Layers tell bytes each; a person is told one figure. */
const tellProgress = (image: string, { progress, advanced }: Waiting) => {
  const layers = new Map<string, { readonly current: number; readonly total: number }>()
  let toldAt = 0
  return (event: { readonly [name: string]: unknown }): void => {
    const { id, progressDetail } = event as { id?: string; progressDetail?: { current?: number; total?: number } }
    const { current, total } = progressDetail ?? {}
    if (id === undefined || current === undefined || total === undefined) return
    const before = layers.get(id)
    layers.set(id, { current, total })
    if (before === undefined || current > before.current) advanced()
    if (Date.now() - toldAt < TELL_EVERY_MS) return
    toldAt = Date.now()
    const sum = (of: (layer: { current: number; total: number }) => number): number =>
      [...layers.values()].reduce((all, layer) => all + of(layer), 0)
    const [done, all] = [sum((layer) => layer.current), sum((layer) => layer.total)]
    const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0)
    progress('pulling_image', `pulling ${image}: ${mib(done)} of ${mib(all)} MiB of ${layers.size} layers so far`)
  }
}
