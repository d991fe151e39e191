/** `docs/roles.md`: the matrix of roles as people read it. Written by `npm run docs:roles`. */
import type { Route } from '../../src/api/route.ts'
import { type OperationId, routes } from '../../src/api/routes.ts'
import { matrix, ROLES, type Statuses, type Whose } from './role-matrix.ts'

const HEAD = `# Who may what

One row for each operation and for whose it is about; in it the status that each role is answered with where nothing else is wrong.
\`own\` is the caller's own, or the org's; \`others\` another user's of the org; \`elsewhere\` another org's. 404 is the answer as if it were not there,
403 that the role may not, and 409 that the state, not the role, was in the way of the example. What the roles are for is in [the API](api.md#who-is-calling).

This page is written by \`npm run docs:roles\` from the table of the tests (\`test/support/role-matrix.ts\`), and \`test/e2e/roles.test.ts\` asks a running
server every cell of it. An operation without a row does not compile.
`

const WHOSE: readonly Whose[] = ['own', 'others', 'elsewhere']

const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`

const rowsOf = (operationId: OperationId): readonly string[] => {
  const { method, path }: Route = routes[operationId]
  const { statuses } = matrix[operationId]
  return WHOSE.flatMap((whose) => {
    const found: Statuses | undefined = statuses[whose]
    return found === undefined ? [] : [line([`\`${method.toUpperCase()} ${path}\``, whose, ...found])]
  })
}

export const roleTable = (): string => {
  const ids = Object.keys(routes) as OperationId[]
  const tags = [...new Set(ids.map((id): string => routes[id].tag))]
  const sections = tags.map((tag) =>
    [
      `## ${tag}`,
      '',
      line(['', 'whose', ...ROLES]),
      line(['---', '---', ...ROLES.map(() => '---:')]),
      ...ids.filter((id) => routes[id].tag === tag).flatMap(rowsOf),
    ].join('\n'),
  )
  return `${[HEAD, ...sections.map((section) => `${section}\n`)].join('\n')}`
}
