/** The spec that a command carries: everything merged, so that an agent has nothing to look up. */
import type { SessionSpec } from './session.ts'

type Env = { readonly [name: string]: string }

/** Later ones win: parameters, the template's env for this platform, the session's own (`docs/templates.md`). */
export const commandSpec = (parts: {
  readonly spec: SessionSpec
  readonly platform: string | null
  readonly secretEnv: Env
  readonly env: Env
  readonly startTimeoutMs: number
}): SessionSpec => ({
  ...parts.spec,
  startTimeoutSeconds: parts.spec.startTimeoutSeconds ?? Math.max(1, Math.ceil(parts.startTimeoutMs / 1000)),
  env: { ...parts.spec.env, ...parts.secretEnv, ...templateEnv(parts.spec, parts.platform), ...parts.env },
})

const templateEnv = (spec: SessionSpec, platform: string | null): Env =>
  (platform === 'process' ? spec.process?.env : spec.container?.env) ?? {}
