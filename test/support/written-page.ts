import type { Page } from '../../domain/ports/page.ts'
import type { WrittenPage } from '../../domain/ports/sessions.ts'
import type { SessionView } from '../../domain/session/session-view.ts'

/** What a client reads of a page of sessions: times are text. */
export const readPage = ({ items, nextCursor }: WrittenPage): Page<SessionView> => ({
  items: JSON.parse(items),
  nextCursor,
})

export const writtenPage = ({ items, nextCursor }: Page<SessionView>): WrittenPage => ({
  items: JSON.stringify(items),
  nextCursor,
})
