/**
 * A registry of images on this machine, as the distribution project specifies it (opencontainers/distribution-spec), as
 * far as a pull needs it. An engine takes one on a loopback address without TLS.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

export type Registry = {
  /** `127.0.0.1:<port>`, the first part of the names of its images. */
  readonly host: string
  /** Offers an image of one layer, and says its digest. */
  readonly offer: (image: OfferedImage) => string
  readonly close: () => Promise<void>
}

export type OfferedImage = {
  /** `folder/name:tag`. */
  readonly name: string
  /** An uncompressed tar archive. */
  readonly layer: Buffer
  readonly architecture?: string
  /** Its layer takes this long. */
  readonly takesMs?: number
  /** Instead of one image a list with this one in it, as for several architectures. */
  readonly asList?: boolean
}

type Blob = { readonly bytes: Buffer; readonly takesMs: number }
type Manifest = { readonly bytes: Buffer; readonly type: string }

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const DOCKER = 'application/vnd.docker'
const CHUNKS = 20

/** `credentials`: `name:password`, without which it shows nothing. */
export const startRegistry = async (credentials?: string): Promise<Registry> => {
  const wanted = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`
  const blobs = new Map<string, Blob>()
  const manifests = new Map<string, Manifest>()

  const refuse = (answer: ServerResponse, status: number, code: string): void => {
    answer.writeHead(status, {
      'content-type': 'application/json',
      ...(status === 401 ? { 'www-authenticate': 'Basic realm="registry"' } : {}),
    })
    answer.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }))
  }

  const serve = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const [, repository = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(asked.url ?? '') ?? []
    if (wanted !== undefined && asked.headers.authorization !== wanted) return refuse(answer, 401, 'UNAUTHORIZED')
    if (asked.url === '/v2/') return void answer.writeHead(200).end('{}')
    if (kind === 'manifests') {
      const manifest = manifests.get(`${repository}:${reference}`) ?? manifests.get(`${repository}@${reference}`)
      if (manifest === undefined) return refuse(answer, 404, 'MANIFEST_UNKNOWN')
      const { bytes, type } = manifest
      answer.writeHead(200, {
        'content-type': type,
        'content-length': bytes.length,
        'docker-content-digest': sha256(bytes),
      })
      return void answer.end(asked.method === 'HEAD' ? undefined : bytes)
    }
    const blob = blobs.get(reference)
    if (blob === undefined) return refuse(answer, 404, 'BLOB_UNKNOWN')
    answer.writeHead(200, { 'content-length': blob.bytes.length })
    const size = Math.ceil(blob.bytes.length / CHUNKS)
    for (let at = 0; at < blob.bytes.length; at += size) {
      answer.write(blob.bytes.subarray(at, at + size))
      if (blob.takesMs > 0) await wait(blob.takesMs / CHUNKS)
    }
    answer.end()
  }

  const server = createServer((asked, answer) => void serve(asked, answer).catch(() => answer.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const keep = (bytes: Buffer, takesMs = 0) => {
    blobs.set(sha256(bytes), { bytes, takesMs })
    return { digest: sha256(bytes), size: bytes.length }
  }

  const offer = (image: OfferedImage): string => {
    const { name, layer, architecture = process.arch === 'x64' ? 'amd64' : process.arch, takesMs = 0 } = image
    const [repository = '', tag = ''] = name.split(':')
    const config = Buffer.from(
      JSON.stringify({
        architecture,
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
        history: [{ created_by: 'a test' }],
      }),
    )
    const put = (bytes: Buffer, type: string, references: readonly string[]): void => {
      for (const reference of references) manifests.set(reference, { bytes, type })
    }
    const manifestType = `${DOCKER}.distribution.manifest.v2+json`
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: `${DOCKER}.container.image.v1+json`, ...keep(config) },
        layers: [{ mediaType: `${DOCKER}.image.rootfs.diff.tar.gzip`, ...keep(gzipSync(layer), takesMs) }],
      }),
    )
    const digest = sha256(manifest)
    put(manifest, manifestType, [`${repository}@${digest}`, ...(image.asList === true ? [] : [`${repository}:${tag}`])])
    if (image.asList !== true) return digest
    const listType = `${DOCKER}.distribution.manifest.list.v2+json`
    const platform = { architecture, os: 'linux' }
    const entry = { mediaType: manifestType, digest, size: manifest.length, platform }
    const list = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: listType, manifests: [entry] }))
    put(list, listType, [`${repository}:${tag}`, `${repository}@${sha256(list)}`])
    return sha256(list)
  }

  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    offer,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
