/**
 * Names that an object of a JSON text has twice. Parsers differ in which of the two they take, so that who checks a request and
 * who acts on it may read another one (RFC 8259, section 4).
 */

type Open = {
  /** null: an array. */
  readonly names: Set<string> | null
  expectsName: boolean
  /** Where in it we are. */
  at: string | number
}

/** The path of the first one, or null. `text` has to be JSON: nothing else is checked. */
export const duplicateName = (text: string): string | null => {
  const open: Open[] = []
  let top: Open | undefined
  for (let i = 0; i < text.length; i += 1) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const end = endOfString(text, i)
        if (top?.names != null && top.expectsName) {
          const name = nameAt(text, i, end)
          top.at = name
          if (top.names.has(name)) return open.map(({ at }) => at).join('.')
          top.names.add(name)
          top.expectsName = false
        }
        i = end
        break
      }
      case 0x7b:
        top = { names: new Set(), expectsName: true, at: '' }
        open.push(top)
        break
      case 0x5b:
        top = { names: null, expectsName: false, at: 0 }
        open.push(top)
        break
      case 0x7d:
      case 0x5d:
        open.pop()
        top = open.at(-1)
        break
      case 0x2c:
        if (top === undefined) break
        if (top.names === null) top.at = Number(top.at) + 1
        else top.expectsName = true
        break
    }
  }
  return null
}

const endOfString = (text: string, start: number): number => {
  let i = start + 1
  while (text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1
  return i
}

/** Names are compared as they mean, however they are escaped. */
const nameAt = (text: string, start: number, end: number): string => {
  const raw = text.slice(start + 1, end)
  return raw.includes('\\') ? JSON.parse(text.slice(start, end + 1)) : raw
}
