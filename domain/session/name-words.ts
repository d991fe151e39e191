/** The words of a name, by which sessions are searched for. */

/** ASCII that is no letter and no digit. The same in `name_words` of migration 012. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are in between, too
const BETWEEN_WORDS = /[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+/

export const wordsOf = (text: string): readonly string[] =>
  [...new Set(text.split(BETWEEN_WORDS))].filter((word) => word !== '')

/** As a search means it: each word is the beginning of a word of the name, and what stands between spaces stands in it as it is. */
export const isNamed = (name: string, q: string): boolean => {
  const [among, sought] = [name.toLowerCase(), q.toLowerCase()]
  const words = wordsOf(sought)
  if (words.length === 0) return among.startsWith(sought)
  const inName = wordsOf(among)
  return (
    words.every((word) => inName.some((other) => other.startsWith(word))) &&
    sought.split(/\s+/).every((part) => among.includes(part))
  )
}
