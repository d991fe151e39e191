/**
 * What changes find, for the audit trail to tell how it was: under which name each thing is held still meanwhile (`kept-with.ts`). The
 * name is the thing's own and no caller's: the installation may change what is an org's while the org changes it.
 */
import type { Agent } from '../domain/agent/agent.ts'
import { E } from '../domain/fp.ts'
import { type Caller, may } from '../domain/identity/caller.ts'
import type { OrgId } from '../domain/ids.ts'
import type { TemplateStore } from '../domain/ports/templates.ts'
import type { Template } from '../domain/template/template.ts'
import type { Sight } from './kept-with.ts'
import type { Answer } from './usecases/application.ts'
import { mayOwn } from './usecases/templates.ts'

const NOTHING: Sight = { thing: null }

export const changing = async <A>(was: Answer<A>, nameOf: (found: A) => string | null): Promise<Sight> => {
  const found = await was()
  if (E.isLeft(found)) return NOTHING
  return { thing: nameOf(found.right), before: { kind: 'changed', was: found.right } }
}

export const removing = async <A extends object>(
  was: Answer<A>,
  nameOf: (found: A) => string | null,
): Promise<Sight> => {
  const found = await was()
  if (E.isLeft(found)) return NOTHING
  return { thing: nameOf(found.right), before: { kind: 'removed', was: found.right } }
}

/** Of a kind whose ids are the installation's. */
export const named =
  (kind: string) =>
  ({ id }: { readonly id: string }): string =>
    `${kind}\n${id}`

export const theOneOf = (kind: string) => (): string => kind

const mayChange = (caller: Caller, owner: OrgId | null): boolean => may(caller, 'operate') && mayOwn(caller, owner)

/** Every org sees the shared ones, and none but the installation changes them. */
export const agentFor =
  (caller: Caller) =>
  (agent: Agent): string | null =>
    mayChange(caller, agent.orgId) ? named('agent')(agent) : null

const templateOf = (owner: OrgId | null, name: string): string => `template\n${owner ?? ''}\n${name}`

export const templateFor =
  (caller: Caller) =>
  ({ orgId, document }: Template): string | null =>
    mayChange(caller, orgId) ? templateOf(orgId, document.name) : null

/** `orgId`: as it is asked for. The public one of the same name is another, and so is the caller's own when it is put for somebody else. */
export const templateToPut = async (
  templates: Pick<TemplateStore, 'newest'>,
  caller: Caller,
  orgId: OrgId | null | undefined,
  name: string,
): Promise<Sight> => {
  const owner = orgId === undefined ? caller.orgId : orgId
  if (!mayChange(caller, owner)) return NOTHING
  const thing = templateOf(owner, name)
  const template = await templates.newest(owner, name)
  return template === null ? { thing } : { thing, before: { kind: 'changed', was: { template, created: false } } }
}
