/** What can go wrong between a program and the server. */
import type { FieldError } from '../../domain/codec/field-errors.ts'
import type { Problem } from '../api/problem.ts'

/** The server refused: an answer of `application/problem+json`. What a program may build on is `code`. */
export class ProblemError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(`${problem.title}: ${problem.detail}`)
    this.name = 'ProblemError'
    this.problem = problem
  }

  get status(): number {
    return this.problem.status
  }
  get code(): string {
    return this.problem.code
  }
  get detail(): string {
    return this.problem.detail
  }
  get errors(): readonly FieldError[] {
    return this.problem.errors ?? []
  }
}

/** No answer: nobody listens, the name is unknown, the connection broke, or it took too long. */
export class UnreachableError extends Error {
  readonly url: string
  /** `impossible`: fetch would not even try, so trying again is no use. */
  readonly kind: 'broken' | 'late' | 'impossible'

  constructor(url: string, kind: UnreachableError['kind'], why: string, options?: ErrorOptions) {
    super(`no answer from ${url}: ${why}`, options)
    this.name = 'UnreachableError'
    this.url = url
    this.kind = kind
  }
}

/** An answer that no server of this version gives: something else listens there, or the versions differ. */
export class UnexpectedAnswerError extends Error {
  readonly status: number

  constructor(url: string, status: number, why: string) {
    super(`${url} answered ${status}: ${why}`)
    this.name = 'UnexpectedAnswerError'
    this.status = status
  }
}

export const isProblem = (error: unknown, ...codes: readonly string[]): error is ProblemError =>
  error instanceof ProblemError && codes.includes(error.code)
