/** What has to be done about one object, from what is wanted, what was written and what is there. Pure. */
import { fieldsThatDiffer, isSame, mainText, statusText, type View, type Wanted } from './object.ts'
import type { Asked } from './session-object.ts'

export type Entry = {
  /** What the API server made of our last write; null: nothing was written yet. */
  readonly written: View | null
  /** What we asked for then: a server with an older CRD leaves fields out, which is not to be asked for again and again. */
  readonly sent: Sent | null
  /** What is there, as last heard. */
  readonly seen: View | null
}

export type Sent = { readonly main: string; readonly status: string }

export type Edit =
  | { readonly what: 'edited'; readonly fields: readonly string[]; readonly by: readonly string[] }
  | { readonly what: 'deleted' }
  /** There is no such session or template. */
  | { readonly what: 'made'; readonly by: readonly string[] }

export type Step =
  | { readonly kind: 'nothing' }
  /** Nothing is wanted and nothing is there. */
  | { readonly kind: 'forget' }
  /** It is there as it should be, left by an agent before this one. */
  | { readonly kind: 'accept'; readonly sent: Sent }
  | {
      readonly kind: 'write'
      readonly wanted: Wanted
      readonly main: boolean
      readonly status: boolean
      readonly edit: Edit | null
    }
  | { readonly kind: 'remove'; readonly uid: string; readonly edit: Edit | null }

export const sentOf = ({ content }: Pick<Wanted, 'content'>): Sent => ({
  main: mainText(content),
  status: statusText(content),
})

export const judge = (entry: Entry, asked: Asked): Step => {
  const { seen, written } = entry
  if (asked === 'leave') return { kind: 'nothing' }
  if (asked === null) {
    if (seen === null) return { kind: 'forget' }
    const edit: Edit | null = written === null && seen.editors.length > 0 ? { what: 'made', by: seen.editors } : null
    return { kind: 'remove', uid: seen.uid, edit }
  }
  if (seen === null && !asked.mayMake) return { kind: 'nothing' }
  const edit = editOf(entry, asked)
  const want = sentOf(asked)
  if (seen === null) return { kind: 'write', wanted: asked, main: true, status: true, edit }
  const there = sentOf(seen)
  const before = entry.sent ?? there
  const made = written === null ? there : sentOf(written)
  const main = before.main !== want.main || made.main !== there.main
  const status = before.status !== want.status || made.status !== there.status
  if (main || status) return { kind: 'write', wanted: asked, main, status, edit }
  return entry.sent === null ? { kind: 'accept', sent: want } : { kind: 'nothing' }
}

const editOf = ({ written, seen }: Entry, wanted: Wanted): Edit | null => {
  if (seen === null) return written === null ? null : { what: 'deleted' }
  if (written !== null)
    return isSame(written.content, seen.content)
      ? null
      : { what: 'edited', fields: fieldsThatDiffer(written.content, seen.content), by: seen.editors }
  // Of what happened while no agent looked the traces of others tell: without those it is news of ours.
  if (seen.editors.length === 0 || isSame(wanted.content, seen.content)) return null
  return { what: 'edited', fields: fieldsThatDiffer(wanted.content, seen.content), by: seen.editors }
}

/** After a write of some of it: what was not written stays what it was, so that an edit in between is still seen. */
export const afterWrite = (
  entry: Entry,
  answer: View,
  { wanted, main, status }: Extract<Step, { kind: 'write' }>,
): Entry => {
  const { labels, owner, spec } = main || entry.written === null ? answer.content : entry.written.content
  const rest = status || entry.written === null ? answer.content : entry.written.content
  return {
    written: { ...answer, content: { labels, owner, spec, status: rest.status } },
    sent: sentOf(wanted),
    seen: answer,
  }
}

/** etcd's revisions: what is lower is older. */
export const isOlder = (a: View, b: View): boolean => BigInt(a.resourceVersion || 0) < BigInt(b.resourceVersion || 0)
