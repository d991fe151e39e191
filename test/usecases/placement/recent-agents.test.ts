import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import { createRecentAgents } from '../../../src/placement/recent-agents.ts'
import { AGENT } from '../../support/a-session.ts'

describe('the agents of a moment ago', () => {
  it('that could not be read end nobody who placed something on them meanwhile', async () => {
    const unhandled: unknown[] = []
    const hear = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', hear)
    try {
      const reading = Promise.withResolvers<never>()
      const recent = createRecentAgents({ candidates: () => reading.promise })
      const asked = recent.fresh('acme' as OrgId)
      recent.placed('acme' as OrgId, AGENT, { cpuMillis: 1, memoryMib: 1 })
      reading.reject(new Error('the database system is shutting down'))
      expect(await asked.catch((error: Error) => error.message)).to.match(/shutting down/)
      await new Promise(setImmediate)
      expect(unhandled).to.deep.equal([])
    } finally {
      process.off('unhandledRejection', hear)
    }
  })
})
