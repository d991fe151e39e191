/**
 * Keys, tokens and JWTs as they look wherever they stand: in a path that somebody mistook for a header, in an error's text, as
 * a request's id. Of an address what its query or fragment calls so: a session's endpoint has the token that opens it.
 */
const SECRETS =
  /\b(ss[a-z]{1,2}_)[A-Za-z0-9_-]{8,}|(?<![A-Za-z0-9_-])(eyJ)[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|((?i:[?&#](?:[\w.-]*(?:token|secret|password|signature)|key|[\w.-]*api[_-]?key|sig)=))[^&#\s"'\\<>]+/g

export const withoutSecrets = (text: string): string =>
  text.replaceAll(
    SECRETS,
    (_, ...[key, jwt, parameter]: (string | undefined)[]) => `${key ?? jwt ?? parameter}[redacted]`,
  )
