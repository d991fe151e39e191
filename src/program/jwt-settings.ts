/** Which JWTs are taken, and what their claims mean. */
import type { JwtSettings, TokenRole } from '../../domain/ports/jwt.ts'
import type { SettingReader } from './setting-reader.ts'

const ROLES = ['viewer', 'user', 'operator', 'admin'] as const satisfies readonly TokenRole[]
const roleNamed = (text: string | undefined): TokenRole | null => ROLES.find((role) => role === text) ?? null

/** `their-word=role`, between commas. */
const rolesIn = (text: string): ReadonlyMap<string, TokenRole> | null => {
  const roles = new Map<string, TokenRole>()
  for (const pair of text.split(',')) {
    const at = pair.lastIndexOf('=')
    const role = roleNamed(pair.slice(at + 1).trim())
    const word = pair.slice(0, at).trim()
    if (at < 1 || role === null || word === '') return null
    roles.set(word, role)
  }
  return roles
}

/** null: none are taken. */
export const jwtSettings = (read: SettingReader): JwtSettings | null => {
  const issuer = read.url('STREAMSPACE_OIDC_ISSUER', null, ['https:', 'http:'])
  const audience = read.text('STREAMSPACE_OIDC_AUDIENCE', null)
  if (issuer !== null && audience === null)
    read.problem('STREAMSPACE_OIDC_AUDIENCE must say for whom the tokens of STREAMSPACE_OIDC_ISSUER are made')
  const secret = read.checked(
    'STREAMSPACE_JWT_SECRET',
    null,
    (text) => (text.length >= 32 ? text : null),
    'must have at least 32 characters',
  )
  const settings: JwtSettings = {
    oidc:
      issuer === null
        ? null
        : {
            issuer,
            audience: audience ?? '',
            jwksUrl: read.url('STREAMSPACE_OIDC_JWKS_URL', null, ['https:', 'http:']),
          },
    shared:
      secret === null
        ? null
        : {
            secret,
            issuer: read.text('STREAMSPACE_JWT_ISSUER', null),
            audience: read.text('STREAMSPACE_JWT_AUDIENCE', null),
          },
    claims: {
      org: read.text('STREAMSPACE_JWT_ORG_CLAIM', 'org'),
      user: read.text('STREAMSPACE_JWT_USER_CLAIM', 'sub'),
      role: read.text('STREAMSPACE_JWT_ROLE_CLAIM', 'role'),
    },
    roles: read.checked<ReadonlyMap<string, TokenRole>>(
      'STREAMSPACE_JWT_ROLES',
      new Map(),
      rolesIn,
      `must be pairs such as staff=user,sre=admin, with roles of: ${ROLES.join(', ')}`,
    ),
    defaults: {
      org: read.text('STREAMSPACE_JWT_DEFAULT_ORG', null),
      role: read.checked<TokenRole | null>(
        'STREAMSPACE_JWT_DEFAULT_ROLE',
        null,
        roleNamed,
        `must be one of: ${ROLES.join(', ')}`,
      ),
    },
    clockSkewSeconds: read.integer('STREAMSPACE_JWT_CLOCK_SKEW_SECONDS', 30, 0, 300),
  }
  if (issuer === null && audience !== null)
    read.problem('STREAMSPACE_OIDC_AUDIENCE is set without STREAMSPACE_OIDC_ISSUER: no token would be taken')
  return settings.oidc === null && settings.shared === null ? null : settings
}
