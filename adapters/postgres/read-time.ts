/**
 * `timestamptz` as PostgreSQL writes it. A session has seven of them and a backlog a hundred thousand sessions, and
 * the general parser is a large regular expression: times in UTC, which nearly all are, are read by their places.
 */
import pg from 'pg'

const general = pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ, 'text') as (text: string) => Date

const ZERO = 48
const SPACE = 32
const PLUS = 43
const DOT = 46
/** `2026-11-27 02:33:05+00` */
const SHORTEST = 22
const SECONDS_END = 19

const two = (text: string, at: number): number => (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO

/** Milliseconds are cut, not rounded, as the general parser does. */
const millisecondsOf = (text: string, end: number): number => {
  if (text.charCodeAt(SECONDS_END) !== DOT) return 0
  let ms = 0
  for (let at = SECONDS_END + 1, worth = 100; at < end && worth >= 1; at++, worth /= 10)
    ms += (text.charCodeAt(at) - ZERO) * worth
  return ms
}

/** Years of four digits, in the session's time zone UTC; everything else (BC, infinity, other zones) is the general parser's. */
const isPlain = (text: string): boolean =>
  text.length >= SHORTEST &&
  text.charCodeAt(10) === SPACE &&
  text.charCodeAt(text.length - 3) === PLUS &&
  text.charCodeAt(0) !== ZERO &&
  text.endsWith('+00')

export const readTime = (text: string): Date =>
  isPlain(text)
    ? new Date(
        Date.UTC(
          two(text, 0) * 100 + two(text, 2),
          two(text, 5) - 1,
          two(text, 8),
          two(text, 11),
          two(text, 14),
          two(text, 17),
          millisecondsOf(text, text.length - 3),
        ),
      )
    : general(text)
