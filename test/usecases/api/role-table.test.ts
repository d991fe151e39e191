import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { may } from '../../../domain/identity/caller.ts'
import type { Route } from '../../../src/api/route.ts'
import { type OperationId, routes } from '../../../src/api/routes.ts'
import { aCaller } from '../../support/a-caller.ts'
import { type Matrix, matrix, ROLES, type Row } from '../../support/role-matrix.ts'
import { roleTable } from '../../support/role-table.ts'

const operations = Object.keys(routes) as OperationId[]

describe('the table of roles', () => {
  it('is the one in docs/roles.md: `npm run docs:roles` writes it', async () => {
    expect(await readFile(new URL('../../../docs/roles.md', import.meta.url), 'utf8')).to.equal(roleTable())
  })

  it('has a row for every operation, and none without one compiles', () => {
    expect(Object.keys(matrix).toSorted()).to.deep.equal(operations.toSorted())
    const { getSession: _, ...others } = matrix
    // @ts-expect-error: the types stage fails where this line has no error.
    const incomplete: Matrix = others
    expect(incomplete).not.to.have.property('getSession')
  })

  it('says of everything that a path names what it is to another org', () => {
    for (const operationId of operations) {
      const { path, access }: Route = routes[operationId]
      const { statuses }: Row = matrix[operationId]
      const isOfAnOrg = path.includes('{') && !path.startsWith('/api/v1/jobs/')
      expect(statuses.elsewhere !== undefined, path).to.equal(isOfAnOrg)
      if (path.includes('/sessions/{')) expect(statuses.others, path).not.to.equal(undefined)
      if (access === 'anyone') expect(new Set(statuses.own), path).to.have.property('size', 1)
    }
  })

  it('lets nobody do what their role may not, and says 403 to nobody who may', () => {
    for (const operationId of operations) {
      const { access, path }: Route = routes[operationId]
      if (access === 'anyone' || access === 'caller') continue
      ROLES.forEach((role, index) => {
        const found = matrix[operationId].statuses.own[index] ?? 0
        if (may(aCaller({ role }), access)) expect(found, `${role} ${path}`).not.to.equal(403)
        else expect(found, `${role} ${path}`).to.equal(403)
      })
    }
  })

  it('shows nothing of another org to anyone but the installation', () => {
    for (const operationId of operations) {
      const { statuses, on }: Row = matrix[operationId]
      const roles = on === 'org' ? ROLES.slice(0, -1) : ROLES
      roles.forEach((role, index) => {
        if (statuses.elsewhere !== undefined)
          expect(statuses.elsewhere[index], `${role} ${operationId}`).to.be.oneOf([403, 404])
      })
    }
  })
})
