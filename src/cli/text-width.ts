/** Text as a terminal shows it: how wide it is, cut to a width, and without what a terminal would obey. */

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const WIDE =
  /^(\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])/u
const PLAIN = /^[\x20-\x7e]*$/

const widthOfOne = (grapheme: string): number => (WIDE.test(grapheme) || grapheme.includes('\ufe0f') ? 2 : 1)

/** In columns of a terminal; East Asian characters and emoji take two. */
export const textWidth = (text: string): number => {
  if (PLAIN.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += widthOfOne(segment)
  return width
}

/** At most `width` columns; an ellipsis where something was cut off. */
export const fitted = (text: string, width: number): string => {
  if (textWidth(text) <= width) return text
  if (width < 1) return ''
  let out = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += widthOfOne(segment)
    if (used > width - 1) break
    out += segment
  }
  return `${out}…`
}

export const padded = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - textWidth(text)))

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g
/** Cc and the characters that turn the direction of what follows. */
const CONTROL = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu

/**
 * One line, harmless to a terminal: names, messages and output come from others, and an escape sequence in
 * them could move the cursor, rename the window or hide what follows.
 */
export const oneLine = (text: string): string => text.replace(ESCAPES, '').replace(CONTROL, ' ')

/** The same, with its lines kept. */
export const harmless = (text: string): string =>
  text
    .replaceAll(/\r\n?/g, '\n')
    .split('\n')
    .map((line) => line.replace(ESCAPES, '').replaceAll('\t', '    ').replace(CONTROL, ''))
    .join('\n')
