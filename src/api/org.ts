import * as c from '../../domain/codec/codec.ts'
import { DNS_LABEL, DNS_LABEL_IN_WORDS, type OrgId } from '../../domain/ids.ts'
import type { Org as OrgView } from '../../domain/ports/orgs.ts'
import { time } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'

export const orgCodec = represents<OrgView>()(c.openObject({ id: c.string(), name: c.string(), createdAt: time }))
export type Org = c.TypeOf<typeof orgCodec>

export const orgRepresentation = ({ id, name, createdAt }: OrgView): OrgView => ({ id, name, createdAt })

export const orgPageCodec = pageOf(orgCodec)

/** A comma would be two orgs to the lock of the database (migration 008). */
const newOrgId = c.string({
  pattern: DNS_LABEL,
  means: DNS_LABEL_IN_WORDS,
  description: 'for good: nothing else ever has it',
}) as unknown as c.Codec<OrgId>

export const createOrgCodec = c.object(
  { id: newOrgId },
  {
    name: c.refined(c.string({ minLength: 1, maxLength: 80, description: 'default: the id' }), (name) =>
      /\p{Cc}/u.test(name) ? 'must not contain control characters' : null,
    ),
  },
)
