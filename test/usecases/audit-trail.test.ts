import { expect } from 'chai'
import type { AuditEntry } from '../../domain/ports/audit.ts'
import { createAuditTrail } from '../../src/usecases/audit-trail.ts'
import { anAuditEntry } from '../support/an-audit-entry.ts'

describe('the trail of what was refused', () => {
  it('loses what PostgreSQL cannot take, and nothing beside it', async () => {
    const written: (string | null)[] = []
    const left: number[] = []
    const trail = createAuditTrail({
      audit: {
        add: async (entries: readonly AuditEntry[]) => {
          if (entries.some(({ resourceId }) => resourceId === 'bad'))
            throw Object.assign(new Error('invalid input syntax for type json'), { code: '22P02' })
          written.push(...entries.map(({ resourceId }) => resourceId))
        },
      },
      onError: () => {},
      leftOut: (count) => left.push(count),
    })
    for (const resourceId of ['1', 'bad', '2']) trail.note(anAuditEntry({ resourceId }))
    await trail.stop()
    expect(written).to.deep.equal(['1', '2'])
    expect(left).to.deep.equal([1])
  })
})
