import { styleText } from 'node:util'
import type { SessionStatus } from '../../domain/session/session.ts'

export type Colour = 'green' | 'yellow' | 'red' | 'gray' | 'bold'

export type Paint = (text: string, colour: Colour | null) => string

export const plain: Paint = (text) => text

export const coloured: Paint = (text, colour) =>
  colour === null ? text : styleText(colour, text, { validateStream: false })

export const statusColour = (status: SessionStatus): Colour | null => {
  switch (status) {
    case 'running':
      return 'green'
    case 'failed':
      return 'red'
    case 'stopped':
    case 'hibernated':
      return 'gray'
    case 'pending':
    case 'scheduling':
    case 'hibernating':
    case 'stopping':
    case 'deleting':
      return 'yellow'
    default:
      // A newer server's word.
      return null
  }
}
