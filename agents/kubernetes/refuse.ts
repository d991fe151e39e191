/** What a spec may not ask of this cluster, beside what no container may. */
import type { ContainerSpec } from '../container/spec.ts'
import type { Desired } from '../protocol.ts'

/** The one that `restricted` lets a pod have. */
const ALLOWED_CAPABILITY = 'NET_BIND_SERVICE'
const QUANTITY_LIMIT = 1_000

export const refusalOf = ({ spec }: Desired, container: ContainerSpec): string | null => {
  if (container.user === 0) return 'container.user is 0 (root): pods here may not run as root; name another user'
  const forbidden = container.capabilities.filter((name) => name !== ALLOWED_CAPABILITY)
  if (forbidden.length > 0)
    return `container.security.capabilities: pods here are given ${ALLOWED_CAPABILITY} only, not ${forbidden.join(', ')}`
  const numbers = container.ports.map(({ port }) => port)
  const twice = numbers.find((port, index) => numbers.indexOf(port) !== index)
  if (twice !== undefined) return `two ports have the number ${twice}: a Service takes each once`
  return particularsRefused(spec.kubernetes)
}

type Unread = { readonly [name: string]: unknown }
const isRecord = (value: unknown): value is Unread =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'

const particularsRefused = (given: unknown): string | null => {
  if (given === undefined) return null
  if (!isRecord(given)) return 'kubernetes must be an object'
  const { nodeSelector, tolerations, runtimeClassName, priorityClassName, imagePullSecrets, gpu, gpuResource } = given
  if (nodeSelector !== undefined && !(isRecord(nodeSelector) && Object.values(nodeSelector).every(isText)))
    return 'kubernetes.nodeSelector must be an object of texts'
  if (tolerations !== undefined && !(Array.isArray(tolerations) && tolerations.every(isRecord)))
    return 'kubernetes.tolerations must be a list of objects'
  if (imagePullSecrets !== undefined && !(Array.isArray(imagePullSecrets) && imagePullSecrets.every(isText)))
    return 'kubernetes.imagePullSecrets must be a list of names of Secrets'
  for (const [name, value] of Object.entries({ runtimeClassName, priorityClassName, gpuResource }))
    if (value !== undefined && !isText(value)) return `kubernetes.${name} must be a name`
  if (gpu !== undefined && !(Number.isInteger(gpu) && Number(gpu) > 0 && Number(gpu) < QUANTITY_LIMIT))
    return 'kubernetes.gpu must be how many of them: a whole number from 1'
  return null
}
