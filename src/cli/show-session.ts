import type { Session } from '../api/session.ts'
import type { JsonOption } from './options.ts'
import { sessionBlock } from './session-view.ts'
import type { Terminal } from './terminal.ts'

export const showSession = (terminal: Terminal, session: Session, { json }: JsonOption): void => {
  if (json) terminal.json(session)
  else terminal.out(sessionBlock(session, Date.now(), terminal.look.paint))
}
