/** One entry of a tar archive (POSIX.1-1988 ustar, pax(1)): all that giving a folder to somebody and reading one file takes. */
const BLOCK = 512
const NAME_BYTES = 100

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`

/** Larger numbers than seven octal digits hold are written in binary (GNU tar, base-256). */
const number = (value: number): string => {
  if (value <= 0o7777777) return octal(value, 8)
  const bytes = Buffer.alloc(8)
  bytes[0] = 0x80
  bytes.writeUInt32BE(value, 4)
  return bytes.toString('latin1')
}

type Entry = { readonly uid: number; readonly gid: number; readonly mode: number }
const FOLDER = '5'
/** The name of the next entry, which does not fit into its own header (GNU tar, `././@LongLink`). */
const LONG_NAME = 'L'

const headerOf = (name: string, type: string, size: number, { uid, gid, mode }: Entry): Buffer => {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, NAME_BYTES)
  header.write(octal(mode, 8), 100)
  header.write(number(uid), 108, 'latin1')
  header.write(number(gid), 116, 'latin1')
  header.write(octal(size, 12), 124)
  header.write(octal(Math.floor(Date.now() / 1_000), 12), 136)
  header.fill(' ', 148, 156)
  header.write(type, 156)
  header.write('ustar\0' + '00', 257)
  const sum = header.reduce((all, byte) => all + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

const longName = (name: Buffer): readonly Buffer[] => {
  const content = Buffer.concat([name, Buffer.alloc(1)])
  const rest = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)
  return [headerOf('././@LongLink', LONG_NAME, content.length, { uid: 0, gid: 0, mode: 0o644 }), content, rest]
}

/** An archive with one folder, owned as said. */
export const folderArchive = (name: string, entry: Entry): Buffer => {
  const path = Buffer.from(`${name}/`)
  return Buffer.concat([
    ...(path.length > NAME_BYTES ? longName(path) : []),
    headerOf(`${name}/`, FOLDER, 0, entry),
    Buffer.alloc(2 * BLOCK),
  ])
}

/** The contents of the first file in an archive; null when the first entry is no file. */
export const firstFile = (archive: Buffer): Buffer | null => {
  if (archive.length < BLOCK || !['0', '\0'].includes(String.fromCharCode(archive[156] ?? 1))) return null
  const size = Number.parseInt(archive.toString('latin1', 124, 135), 8)
  return Number.isInteger(size) ? archive.subarray(BLOCK, BLOCK + size) : null
}
