import { expect } from 'chai'
import { commandSpec } from '../../../domain/session/command-spec.ts'
import type { SessionSpec } from '../../../domain/session/session.ts'

const spec: SessionSpec = {
  process: { command: ['node'], env: { WHO: 'process', OF_PROCESS: '1' } },
  container: { image: 'busybox', env: { WHO: 'container', OF_CONTAINER: '1' } },
  resources: { cpuMillis: 250, memoryMib: 128 },
  env: { WHO: 'parameter', OF_PARAMETER: '1' },
}
const parts = { spec, platform: 'process', secretEnv: {}, env: {}, startTimeoutMs: 300_000 }

describe('the spec that a command carries', () => {
  it('merges environments: parameters, secrets, the template’s, the session’s own, of which the later win', () => {
    const { env } = commandSpec({
      ...parts,
      secretEnv: { WHO: 'secret', OF_PARAMETER: 'secret', TOKEN: 't' },
      env: { WHO: 'session' },
    })
    expect(env).to.deep.equal({ WHO: 'session', OF_PARAMETER: 'secret', TOKEN: 't', OF_PROCESS: '1' })
  })

  it('has the template’s environment of the platform it goes to', () => {
    expect(commandSpec(parts).env).to.deep.equal({ WHO: 'process', OF_PARAMETER: '1', OF_PROCESS: '1' })
    for (const platform of ['docker', 'kubernetes'])
      expect(commandSpec({ ...parts, platform }).env).to.include({ WHO: 'container', OF_CONTAINER: '1' })
  })

  it('always says how long a start may take: the template’s word, or else the setting', () => {
    expect(commandSpec(parts).startTimeoutSeconds).to.equal(300)
    expect(commandSpec({ ...parts, startTimeoutMs: 1_200 }).startTimeoutSeconds).to.equal(2)
    expect(commandSpec({ ...parts, startTimeoutMs: 1 }).startTimeoutSeconds).to.equal(1)
    expect(commandSpec({ ...parts, spec: { ...spec, startTimeoutSeconds: 7 } }).startTimeoutSeconds).to.equal(7)
  })

  it('is otherwise the template’s, as it is', () => {
    const { env, startTimeoutSeconds, ...rest } = commandSpec(parts)
    const { env: _, ...template } = spec
    expect(rest).to.deep.equal(template)
  })
})
