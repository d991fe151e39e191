import * as c from '../../domain/codec/codec.ts'
import { DNS_LABEL } from '../../domain/ids.ts'
import type { Usage } from '../../domain/ports/quotas.ts'
import type { Amounts } from '../../domain/quota/amounts.ts'
import { inOrder, type Limits, noLimits, type Quota, quotaNames } from '../../domain/quota/quota.ts'
import { MAX_INTEGER } from './fields.ts'
import { represents } from './json.ts'

const about: { readonly [N in keyof Limits]: string } = {
  maxSessions: 'sessions that are kept, in whatever state',
  maxRunning: 'sessions that are to run',
  cpuMillis: 'of those that are to run, together',
  memoryMib: 'of those that are to run, together',
}

/** Sums over many sessions are beyond PostgreSQL's `integer`. */
const MOST = { maxSessions: MAX_INTEGER, maxRunning: MAX_INTEGER, cpuMillis: 1e15, memoryMib: 1e15 }
const limit = (name: keyof Limits): c.Codec<number | null> =>
  c.described(c.nullable(c.integer({ minimum: 0, maximum: MOST[name] })), `${about[name]}; null: no limit`)
const limits = {
  maxSessions: limit('maxSessions'),
  maxRunning: limit('maxRunning'),
  cpuMillis: limit('cpuMillis'),
  memoryMib: limit('memoryMib'),
}

const PER_USER = 'of every user, each for themselves'
const PER_TEMPLATE = 'of a template, by its name, whoever uses it in the org'
const MOST_TEMPLATES = 500

const limitsCodec = c.openObject(limits)
export const quotaCodec = represents<Quota>()(
  c.openObject({
    ...limits,
    perUser: c.described(limitsCodec, PER_USER),
    perTemplate: c.described(c.record(limitsCodec), PER_TEMPLATE),
  }),
)
export type QuotaRepresentation = c.TypeOf<typeof quotaCodec>

const givenLimits = c.object({}, limits)
/** The whole quota: what is left out has no limit. */
export const setQuotaCodec = c.object(
  {},
  {
    ...limits,
    perUser: c.described(c.nullable(givenLimits), PER_USER),
    perTemplate: c.nullable(
      c.record(c.nullable(givenLimits), {
        keyPattern: DNS_LABEL,
        keyMessage: 'the name must be one that a template can have',
        maxProperties: MOST_TEMPLATES,
        description: PER_TEMPLATE,
      }),
    ),
  },
)
export type SetQuotaRequest = c.TypeOf<typeof setQuotaCodec>

const limitsOf = (given: Partial<Limits>): Limits => ({
  ...noLimits,
  ...Object.fromEntries(quotaNames.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]]))),
})

export const quotaOf = (request: SetQuotaRequest): Quota =>
  inOrder({
    ...limitsOf(request),
    perUser: limitsOf(request.perUser ?? {}),
    perTemplate: Object.fromEntries(
      Object.entries(request.perTemplate ?? {}).map(([name, given]) => [name, limitsOf(given ?? {})]),
    ),
  })

const amounts = {
  sessions: c.described(c.integer(), 'kept, in whatever state, until their deletion is asked for'),
  running: c.described(c.integer(), 'to run, whether they do already or not'),
  cpuMillis: c.described(c.number(), 'of those that are to run'),
  memoryMib: c.described(c.number(), 'of those that are to run'),
}
const amountsCodec = represents<Amounts>()(c.openObject(amounts))
export const usageCodec = represents<Usage>()(
  c.openObject({
    ...amounts,
    perUser: c.described(c.record(amountsCodec), 'by id; the 100 who keep the most sessions, or those asked for'),
    perTemplate: c.described(c.record(amountsCodec), 'by name; the 100 with the most sessions, or those asked for'),
  }),
)
export type UsageRepresentation = c.TypeOf<typeof usageCodec>
