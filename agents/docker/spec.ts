/** A spec for containers as this engine can run it: what it would refuse is said before anything is made. */
import { type Read, readContainerSpec } from '../container/spec.ts'
import type { Desired } from '../protocol.ts'

/** docs.docker.com/engine/containers/resource_constraints, `--memory`. */
const LEAST_MEMORY_MIB = 6

export const readDockerSpec = (desired: Desired, allowedMounts: readonly string[]): Read => {
  const { memoryMib } = desired.spec.resources ?? {}
  if (memoryMib !== undefined && memoryMib < LEAST_MEMORY_MIB)
    return {
      kind: 'refused',
      message: `resources.memoryMib is ${memoryMib}, and Docker gives a container no less than ${LEAST_MEMORY_MIB} MiB: raise it in the template`,
    }
  return readContainerSpec(desired, allowedMounts)
}
