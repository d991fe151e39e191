/** From the words of an agent to a `Report`: only what it mentioned, nothing invented. */
import type { WireReport } from '../ports/delivery.ts'
import type { Report } from './observe.ts'
import type { Endpoint, Observed } from './session.ts'
import { statusReasonOf } from './status-reason.ts'
import { noteTypes } from './words.ts'

export const reportOf = (generation: number, said: WireReport): Report => ({
  generation,
  status: said.status,
  reason: reasonOf(said),
  message: said.message ?? null,
  observed: mentioned({
    endpoint: said.endpoint === undefined || said.endpoint === null ? said.endpoint : endpointOf(said.endpoint),
    namespace: said.namespace,
    podName: said.podName,
    serviceName: said.serviceName,
    containerId: said.containerId,
    node: said.node,
    image: said.image,
    imageDigest: said.imageDigest,
    restarts: said.restarts,
    exitCode: said.exitCode,
    exitSignal: said.exitSignal,
    lastOutput: said.lastOutput,
  }),
  ...noteOf(said),
})

/** A reason that is not in our table still means that something went wrong on the platform. */
const reasonOf = (said: WireReport): Report['reason'] => {
  if (said.reason === undefined || said.reason === null || said.reason === '') return null
  return statusReasonOf(said.reason) ?? (said.status === 'failed' ? 'platform_error' : null)
}

/** One of a type that is not in our table is of an agent that is newer than we are. */
const noteOf = ({ note }: WireReport): Pick<Report, 'note'> => {
  const type = noteTypes.find((word) => word === note?.type)
  return note === undefined || type === undefined ? {} : { note: { type, message: note.message } }
}

const endpointOf = (said: NonNullable<WireReport['endpoint']>): Endpoint => ({ ...said, ports: said.ports ?? [] })

const mentioned = (said: { readonly [K in keyof Observed]: Observed[K] | undefined }): Partial<Observed> =>
  Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
