/**
 * Keys, tokens and JWTs as they look wherever they stand: in a path that somebody mistook for a header, in an error's text, as
 * a request's id.
 */
const SECRETS = /\b(ss[a-z]{1,2}_)[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g

export const withoutSecrets = (text: string): string =>
  text.replaceAll(SECRETS, (_, prefix: string | undefined) => `${prefix ?? 'eyJ'}[redacted]`)
