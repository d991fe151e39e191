import { styleText } from 'node:util'
import type { SessionStatus } from '../../domain/session/words.ts'

export type Colour = 'green' | 'yellow' | 'red' | 'gray' | 'bold'

export type Paint = (text: string, colour: Colour | null) => string

export const plain: Paint = (text) => text

export const coloured: Paint = (text, colour) =>
  colour === null ? text : styleText(colour, text, { validateStream: false })

/** Null for a word that only a newer server knows. */
export const statusColour = (status: string): Colour | null => {
  switch (status as SessionStatus) {
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
