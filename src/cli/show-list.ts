import type { Listed } from '../client/pages.ts'
import type { ListOptions } from './options.ts'
import { type Column, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

/** A list as a table, or as one JSON array. What a limit left out is said on stderr: scripts count lines. */
export const showList = <Row>(
  terminal: Terminal,
  what: string,
  { items, more }: Listed<Row>,
  columns: readonly Column<Row>[],
  options: ListOptions,
): void => {
  if (options.json) terminal.json(items)
  else if (items.length > 0) terminal.out(renderTable(columns, items, terminal.look))
  else terminal.note(`no ${what}`)
  if (more) terminal.note(`only the first ${items.length} ${what}: there are more (--limit <n>, --all)`)
}
