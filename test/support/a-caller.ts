import type { Caller } from '../../domain/identity/caller.ts'
import type { UserId } from '../../domain/ids.ts'
import { ORG } from './a-session.ts'

export const aCaller = (changes: Partial<Caller> = {}): Caller => ({
  orgId: ORG,
  userId: 'ada' as UserId,
  role: 'operator',
  keyId: null,
  ...changes,
})
