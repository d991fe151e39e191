/** `npm run docs:roles`: writes `docs/roles.md` from the matrix of roles that the tests go through. */
import { writeFile } from 'node:fs/promises'
import { roleTable } from '../../test/support/role-table.ts'

await writeFile(new URL('../../docs/roles.md', import.meta.url), roleTable())
