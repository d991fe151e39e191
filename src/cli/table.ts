/** Tables for people: aligned columns, cut to a terminal's width, every cell one harmless line. */
import { type Colour, type Paint, plain } from './colour.ts'
import { fitted, oneLine, padded, textWidth } from './text-width.ts'

export type Column<Row> = {
  readonly title: string
  /** null shows a dash. */
  readonly cell: (row: Row) => string | null
  readonly colour?: (row: Row) => Colour | null
  /** Gives way first when the terminal is too narrow. Ids never do. */
  readonly shrinks?: true
}

export type TableLook = {
  /** Columns of the terminal; null where there is none: nothing is cut then. */
  readonly width: number | null
  readonly paint: Paint
}

const GAP = '  '
const NARROWEST = 8

export const renderTable = <Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  look: TableLook = { width: null, paint: plain },
): string => {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.cell(row) ?? '-') || '-'))
  const natural = columns.map((column, index) => {
    let widest = column.title.length
    for (const line of cells) widest = Math.max(widest, textWidth(line[index] ?? ''))
    return widest
  })
  const widths = look.width === null ? natural : shrunk(columns, natural, look.width)

  const line = (texts: readonly string[], paint: (text: string, index: number) => string): string => {
    let out = ''
    let used = 0
    for (const [index, text] of texts.entries()) {
      const before = index === 0 ? '' : GAP
      const room = look.width === null ? Number.POSITIVE_INFINITY : look.width - used - before.length
      if (room < 1) break
      const width = Math.min(widths[index] ?? 0, room)
      const shown = fitted(text, width)
      used += before.length + width
      // Nothing is padded at a line's end.
      const rest = index === texts.length - 1 ? '' : padded('', width - textWidth(shown))
      out += before + paint(shown, index) + rest
    }
    return out.trimEnd()
  }

  return [
    line(
      columns.map(({ title }) => title),
      (text) => look.paint(text, 'bold'),
    ),
    ...cells.map((texts, at) =>
      line(texts, (text, index) => look.paint(text, columns[index]?.colour?.(rows[at] as Row) ?? null)),
    ),
  ].join('\n')
}

/** Takes from the widest of the columns that may shrink, until all fit or all are at their narrowest. */
const shrunk = <Row>(columns: readonly Column<Row>[], natural: readonly number[], available: number): number[] => {
  const widths = [...natural]
  const total = (): number => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1))
  for (let over = total() - available; over > 0; over -= 1) {
    let widest = -1
    for (const [index, column] of columns.entries()) {
      const width = widths[index] ?? 0
      if (column.shrinks && width > NARROWEST && width > (widths[widest] ?? 0)) widest = index
    }
    if (widest === -1) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

export type Field = readonly [name: string, value: string | null | undefined, colour?: Colour | null]

/** Names and values below each other; what has no value is left out. */
export const renderFields = (fields: readonly Field[], paint: Paint = plain): string => {
  const shown = fields.filter(([, value]) => value !== null && value !== undefined && value !== '')
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown
    .map(([name, value, colour]) => `${padded(name, width)}${GAP}${paint(oneLine(value ?? ''), colour ?? null)}`)
    .join('\n')
}
