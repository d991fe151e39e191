/** What a statement costs, from `EXPLAIN (ANALYZE, BUFFERS)` of the very text that the product sends. */
import pg from 'pg'

export type Plan = {
  /** Blocks of 8 KiB looked at, in the cache or not. */
  readonly buffers: number
  /** Kinds of steps, as PostgreSQL names them. */
  readonly nodes: readonly string[]
  readonly indexes: readonly string[]
  /** Tables that were read from one end to the other. */
  readonly scanned: readonly string[]
  readonly text: string
}

// biome-ignore lint/suspicious/noExplicitAny: a tree of PostgreSQL's own making
type Node = any

const below = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(below)]

/** `custom`: for the values that are asked; `generic`: for any. */
export const planned = (how: string): string => `SET plan_cache_mode = force_${how}_plan`

/** A connection reads the catalog and plans what is in a function when it first calls it: some 280 buffers that are no read's. */
export const CALLED_BEFORE = `SELECT due_commands('nobody', 0, 0, '{}', 1)`

const literal = (value: unknown): string => {
  if (value === null) return 'NULL'
  if (Array.isArray(value)) return pg.escapeLiteral(`{${value.map((item) => JSON.stringify(item)).join(',')}}`)
  return pg.escapeLiteral(value instanceof Date ? value.toISOString() : String(value))
}

export const buffersOf = ({ Plan }: Node): number => Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks']

export const explainPrepared = (name: string, values: readonly unknown[]): string =>
  `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE ${name}${values.length === 0 ? '' : ` (${values.map(literal).join(', ')})`}`

/** `before`: statements on the same connection that are not what is measured. */
export const explain = async (
  url: string,
  text: string,
  values: readonly unknown[],
  before: readonly string[] = [],
): Promise<Plan> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of before) await client.query(statement)
    // With its values `EXPLAIN` would always plan for just these: only what is prepared has a generic plan.
    await client.query(`PREPARE explained AS ${text}`)
    const { rows } = await client.query(explainPrepared('explained', values))
    const [explained] = rows[0]['QUERY PLAN']
    const nodes = below(explained.Plan)
    return {
      buffers: buffersOf(explained),
      nodes: nodes.map((node) => node['Node Type']),
      indexes: nodes.flatMap((node) => node['Index Name'] ?? []),
      scanned: nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name']),
      text: JSON.stringify(explained, null, 1),
    }
  } finally {
    await client.end()
  }
}
