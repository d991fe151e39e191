/** Who asks. Every use case takes a `Caller`; every query takes the `Scope` that follows from it. */
import type { ApiKeyId, OrgId, UserId } from '../ids.ts'

/** `installation` is an admin of its org that may also do what concerns the whole installation. */
export const roles = ['viewer', 'user', 'operator', 'admin', 'installation'] as const
export type Role = (typeof roles)[number]

export type Caller = {
  readonly orgId: OrgId
  readonly userId: UserId
  readonly role: Role
  readonly keyId: ApiKeyId | null
  /** Of an installation key that acts in another org (`Streamspace-Org`): the org of the key itself. */
  readonly comesFrom?: OrgId
}

/** What a caller can see: one org, and within it either everything or one user's own. */
export type Scope = { readonly orgId: OrgId; readonly ownerId: UserId | null }

export const scopeOf = (caller: Caller): Scope => ({
  orgId: caller.orgId,
  ownerId: caller.role === 'user' ? caller.userId : null,
})

/** Of the installation's own keys, in whichever org they act: no org is called so. */
const INSTALLATION = ''

/**
 * With whom a caller shares what a server can do at once: with all of its org. Whoever runs the installation is none of theirs: its keys go on
 * when an org has used up its share, and take nothing from it.
 */
export const shareOf = ({ role, orgId }: Caller): string => (role === 'installation' ? INSTALLATION : orgId)

/**
 * What a role may do beyond reading what its scope shows. `read_org`: what is the org's and no user's, such as agents and commands.
 */
export type Permission = 'read_org' | 'change_sessions' | 'operate' | 'administer' | 'administer_installation'

const permissions: { readonly [R in Role]: readonly Permission[] } = {
  viewer: ['read_org'],
  user: ['change_sessions'],
  operator: ['read_org', 'change_sessions', 'operate'],
  admin: ['read_org', 'change_sessions', 'operate', 'administer'],
  installation: ['read_org', 'change_sessions', 'operate', 'administer', 'administer_installation'],
}

export const rolesWith = (permission: Permission): readonly Role[] =>
  roles.filter((role) => permissions[role].includes(permission))

export const may = (caller: Caller, permission: Permission): boolean => permissions[caller.role].includes(permission)
