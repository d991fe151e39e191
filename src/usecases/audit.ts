/** The audit trail of an org, for its admins; what is nobody's is the installation's to see. */
import { forbidden } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { AuditScope, AuditStore } from '../../domain/ports/audit.ts'
import type { Application } from './application.ts'

const refused = E.left(forbidden('administer'))

const scopeOf = (caller: Caller): AuditScope => ({
  orgId: caller.orgId,
  nobodys: may(caller, 'administer_installation'),
})

export const auditUseCases = (audit: Pick<AuditStore, 'list' | 'all'>): Application['audit'] => ({
  list: (caller, filter, page) => async () =>
    may(caller, 'administer') ? E.right(await audit.list(scopeOf(caller), filter, page)) : refused,

  all: (caller, filter) => async () =>
    may(caller, 'administer') ? E.right(audit.all(scopeOf(caller), filter)) : refused,
})
