/**
 * How a command ends when it did not do what was asked: the message goes to stderr, without a stack, and the
 * process ends with the exit code. 1: it failed. 2: it was asked wrongly (arguments, settings). Anything else
 * that is thrown up to the command line is a bug and is shown with its stack.
 */
export class ExitError extends Error {
  readonly exitCode: number

  /** An empty message prints nothing: all there is to say was said. */
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ExitError'
    this.exitCode = exitCode
  }
}
