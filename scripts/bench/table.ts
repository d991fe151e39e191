/** The table for people. */
import { type Column, renderTable } from '../../src/cli/table.ts'
import { type Line, type Unit, verdictOf } from './measure.ts'

const DIGITS: { readonly [U in Unit]: number } = {
  ms: 1,
  s: 2,
  '/s': 0,
  '%': 1,
  '×': 2,
  MiB: 1,
  KiB: 1,
  buffers: 0,
  calls: 0,
}

export const shown = (value: number, unit: Unit): string => {
  const digits = DIGITS[unit]
  const number = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return unit === '%' || unit === '/s' ? `${number}${unit}` : `${number} ${unit}`
}

const barOf = ({ bar, unit }: Line): string => {
  if (bar === null) return ''
  return 'atMost' in bar ? `≤ ${plainly(bar.atMost, unit)}` : `≥ ${plainly(bar.atLeast, unit)}`
}

/** Bars are round numbers and are shown as such. */
const plainly = (value: number, unit: Unit): string => {
  const number = value.toLocaleString('en')
  return unit === '%' || unit === '/s' ? `${number}${unit}` : `${number} ${unit}`
}

const flushRight = (cells: readonly string[]): string[] => {
  const width = Math.max(...cells.map((cell) => cell.length))
  return cells.map((cell) => cell.padStart(width))
}

export const tableOf = (lines: readonly Line[]): string => {
  const figures = flushRight(lines.map((line) => shown(line.figure, line.unit)))
  const bars = lines.map(barOf)
  const rows = lines.map((line, index) => ({ line, figure: figures[index] ?? '', bar: bars[index] ?? '' }))
  type Row = (typeof rows)[number]
  const columns: Column<Row>[] = [
    { title: 'measure', cell: ({ line }) => line.what },
    { title: 'figure', cell: ({ figure }) => figure },
    { title: 'bar', cell: ({ bar }) => bar || ' ' },
    { title: '', cell: ({ line }) => verdictOf(line) ?? ' ' },
    { title: '', cell: ({ line }) => line.note ?? ' ' },
  ]
  return renderTable(columns, rows)
}
