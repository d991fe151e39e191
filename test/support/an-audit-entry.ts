import type { AuditEntry } from '../../domain/ports/audit.ts'
import { ACME, ANNA } from './rows.ts'

export const anAuditEntry = (about: Partial<AuditEntry> = {}): AuditEntry => ({
  orgId: ACME,
  userId: ANNA,
  role: 'admin',
  keyId: null,
  action: 'stopSession',
  resource: 'session',
  resourceId: 'of-a-test',
  outcome: 'succeeded',
  status: 202,
  code: null,
  requestId: 'of a test',
  ip: '203.0.113.9',
  userAgent: 'a test',
  before: { status: 'running' },
  after: { status: 'stopping' },
  ...about,
})
