/** The parts of fp-ts that this project uses, under the short names its documentation uses. */
export * as E from 'fp-ts/lib/Either.js'
export { pipe } from 'fp-ts/lib/function.js'
export * as TE from 'fp-ts/lib/TaskEither.js'
