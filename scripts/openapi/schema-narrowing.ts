/**
 * Which values of one JSON Schema another does not take. Of a request that is what broke from before to after; of an answer,
 * from after to before. Knows the keywords that our codecs write, and takes what it does not know for the same.
 */
export type Schema = { readonly [keyword: string]: unknown }
export type Resolve = (schema: Schema) => Schema

/** `limits`: also lengths, ranges and patterns. A client that reads answers does not check those. */
export type Strictness = { readonly limits: boolean }

const NO_SCHEMA: Schema = {}

const typesOf = ({ type }: Schema): readonly string[] | null =>
  type === undefined ? null : ([type].flat() as unknown as readonly string[])

const alternativesOf = (schema: Schema): readonly Schema[] | null =>
  (schema.anyOf ?? schema.oneOf ?? null) as readonly Schema[] | null

const propertiesOf = (schema: Schema): { readonly [name: string]: Schema } =>
  (schema.properties ?? {}) as { readonly [name: string]: Schema }

const requiredOf = (schema: Schema): readonly string[] => (schema.required ?? []) as readonly string[]

/** What `from` takes and `to` does not, as one line each. */
export const narrowing = (resolve: Resolve, strictness: Strictness) => {
  const visited = new Set<string>()

  const compare = (from_: Schema, to_: Schema, where: string): readonly string[] => {
    // A schema may contain itself.
    const pair = `${from_.$ref} ${to_.$ref}`
    if (from_.$ref !== undefined && to_.$ref !== undefined) {
      if (visited.has(pair)) return []
      visited.add(pair)
    }
    const [from, to] = [resolve(from_), resolve(to_)]
    const fromAlternatives = alternativesOf(from)
    const toAlternatives = alternativesOf(to)
    if (fromAlternatives !== null) return fromAlternatives.flatMap((one) => compare(one, to, where))
    if (toAlternatives !== null) {
      const each = toAlternatives.map((one) => compare(from, one, where))
      return each.some((complaints) => complaints.length === 0) ? [] : (each[0] ?? [])
    }
    return [
      ...types(from, to, where),
      ...values(from, to, where),
      ...(strictness.limits ? limits(from, to, where) : []),
      ...objects(from, to, where),
      ...(from.items === undefined && to.items === undefined
        ? []
        : compare((from.items ?? NO_SCHEMA) as Schema, (to.items ?? NO_SCHEMA) as Schema, `${where}[]`)),
    ]
  }

  const types = (from: Schema, to: Schema, where: string): readonly string[] => {
    const [given, taken] = [typesOf(from), typesOf(to)]
    if (taken === null || from.enum !== undefined) return []
    if (given === null) return [`${where}: anything, against ${taken.join(' or ')}`]
    return given
      .filter((type) => !taken.includes(type) && !(type === 'integer' && taken.includes('number')))
      .map((type) => `${where}: ${type}, against ${taken.join(' or ')}`)
  }

  const values = (from: Schema, to: Schema, where: string): readonly string[] => {
    const [given, taken] = [from.enum, to.enum] as readonly (readonly unknown[] | undefined)[]
    if (taken === undefined) return []
    if (given === undefined) return [`${where}: any value, against ${taken.join(', ')}`]
    return given.filter((value) => !taken.includes(value)).map((value) => `${where}: the value ${String(value)}`)
  }

  const limits = (from: Schema, to: Schema, where: string): readonly string[] => [
    ...['minimum', 'minLength', 'minItems'].flatMap((keyword) =>
      to[keyword] !== undefined && Number(to[keyword]) > Number(from[keyword] ?? Number.NEGATIVE_INFINITY)
        ? [`${where}: ${keyword} ${String(from[keyword] ?? 'none')}, against ${String(to[keyword])}`]
        : [],
    ),
    ...['maximum', 'maxLength', 'maxItems', 'maxProperties'].flatMap((keyword) =>
      to[keyword] !== undefined && Number(to[keyword]) < Number(from[keyword] ?? Number.POSITIVE_INFINITY)
        ? [`${where}: ${keyword} ${String(from[keyword] ?? 'none')}, against ${String(to[keyword])}`]
        : [],
    ),
    ...['pattern', 'format'].flatMap((keyword) =>
      to[keyword] !== undefined && to[keyword] !== from[keyword]
        ? [`${where}: ${keyword} ${String(from[keyword] ?? 'none')}, against ${String(to[keyword])}`]
        : [],
    ),
  ]

  const objects = (from: Schema, to: Schema, where: string): readonly string[] => {
    const [given, taken] = [propertiesOf(from), propertiesOf(to)]
    const rest = to.additionalProperties
    const complaints: string[] = []
    for (const name of requiredOf(to))
      if (!requiredOf(from).includes(name)) complaints.push(`${where}.${name}: may be left out, against required`)
    for (const [name, schema] of Object.entries(given)) {
      const other = taken[name] ?? (rest === false ? null : rest === undefined || rest === true ? NO_SCHEMA : rest)
      if (other === null) complaints.push(`${where}.${name}: there, against not known`)
      else complaints.push(...compare(schema, other as Schema, `${where}.${name}`))
    }
    if (rest === false && from.type === 'object' && from.additionalProperties !== false)
      complaints.push(`${where}: any other field, against none`)
    if (isSchema(from.additionalProperties) && isSchema(rest))
      complaints.push(...compare(from.additionalProperties, rest, `${where}.*`))
    return complaints
  }

  return compare
}

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null
