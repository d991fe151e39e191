/** One entry of a tar archive (POSIX.1-1988 ustar, pax(1)): all that giving a folder to somebody and reading one file takes. */
const BLOCK = 512

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`

/** Larger numbers than seven octal digits hold are written in binary (GNU tar, base-256). */
const number = (value: number): string => {
  if (value <= 0o7777777) return octal(value, 8)
  const bytes = Buffer.alloc(8)
  bytes[0] = 0x80
  bytes.writeUInt32BE(value, 4)
  return bytes.toString('latin1')
}

/** An archive with one folder, owned as said. */
export const folderArchive = (name: string, { uid, gid, mode }: { uid: number; gid: number; mode: number }): Buffer => {
  const header = Buffer.alloc(BLOCK)
  header.write(`${name}/`, 0, 100)
  header.write(octal(mode, 8), 100)
  header.write(number(uid), 108, 'latin1')
  header.write(number(gid), 116, 'latin1')
  header.write(octal(0, 12), 124)
  header.write(octal(Math.floor(Date.now() / 1_000), 12), 136)
  header.fill(' ', 148, 156)
  header.write('5', 156)
  header.write('ustar\0' + '00', 257)
  const sum = header.reduce((all, byte) => all + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, Buffer.alloc(2 * BLOCK)])
}

/** The contents of the first file in an archive; null when the first entry is no file. */
export const firstFile = (archive: Buffer): Buffer | null => {
  if (archive.length < BLOCK || !['0', '\0'].includes(String.fromCharCode(archive[156] ?? 1))) return null
  const size = Number.parseInt(archive.toString('latin1', 124, 135), 8)
  return Number.isInteger(size) ? archive.subarray(BLOCK, BLOCK + size) : null
}
