/**
 * ETags and the conditions on them (RFC 9110, section 13). A session's is `"<version>-<8 hex of SHA-256>"`:
 * If-Match compares the version, so that an agent's report between a read and a change refuses nothing;
 * If-None-Match compares the whole, so that such a report is never hidden behind a 304.
 */
import { hash } from 'node:crypto'
import type { IfMatch } from '../../src/usecases/application.ts'

export const versionEtag = (version: number, json: string): string => `"${version}-${hash('sha256', json).slice(0, 8)}"`

export const contentEtag = (json: string): string => `"${hash('sha256', json).slice(0, 16)}"`

type EntityTag = { readonly weak: boolean; readonly opaque: string }

const ENTITY_TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/

/** A list of entity tags, `*`, or null for what is neither. Empty list members are allowed (RFC 9110, 5.6.1). */
const parse = (header: string): readonly EntityTag[] | '*' | null => {
  if (header.trim() === '*') return '*'
  const tags: EntityTag[] = []
  let rest = header.trim()
  while (rest !== '') {
    const match = ENTITY_TAG.exec(rest)
    if (match !== null) {
      tags.push({ weak: match[1] !== undefined, opaque: match[2] ?? '' })
      rest = rest.slice(match[0].length).trimStart()
      if (rest !== '' && !rest.startsWith(',')) return null
    } else if (!rest.startsWith(',')) return null
    rest = rest.slice(1).trimStart()
  }
  return tags
}

const VERSION = /^(\d{1,15})(-[0-9a-f]{8})?$/

/** Versions that the caller would change. What cannot be one of ours, weak tags among it, matches nothing. */
export const parseIfMatch = (header: string | undefined): IfMatch => {
  if (header === undefined) return null
  const tags = parse(header)
  if (tags === '*') return null
  return (tags ?? []).flatMap(({ weak, opaque }) => {
    const version = weak ? undefined : VERSION.exec(opaque)?.[1]
    return version === undefined ? [] : [Number(version)]
  })
}

/** Whether the caller has exactly this already. Weak comparison, as GET wants it. */
export const noneMatchHits = (header: string | undefined, etag: string): boolean => {
  if (header === undefined) return false
  const tags = parse(header)
  return tags === '*' || (tags?.some(({ opaque }) => `"${opaque}"` === etag) ?? false)
}
