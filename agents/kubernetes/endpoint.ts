/** Where a session is reached: at its Ingress where hosts are given out, otherwise at the address of its Service. */
import type { SessionId } from '../../domain/ids.ts'
import type { WireEndpoint, WireSpec } from '../protocol.ts'
import { endpointOf } from '../runtime/observed.ts'
import { hostOf } from './parts.ts'
import type { Settings } from './settings.ts'

export const endpointAt = (
  spec: WireSpec,
  about: {
    readonly sessionId: SessionId
    readonly settings: Settings
    readonly address: string | null
    readonly accessToken: string
  },
): WireEndpoint | null => {
  const { sessionId, settings, address, accessToken } = about
  if (address === null) return null
  const port = (name: string): number | undefined => spec.ports?.find((one) => one.name === name)?.port
  const inside = endpointOf(spec, { host: address, port, accessToken })
  const first = spec.ports?.find(({ protocol }) => protocol === 'http')
  if (inside === null || settings.ingressHost === undefined || first === undefined) return inside
  const secure = settings.ingressTlsSecret !== undefined
  const host = hostOf(settings.ingressHost, sessionId)
  const url = `${secure ? 'https' : 'http'}://${host}/?token=${accessToken}`
  const outside = { url, port: secure ? 443 : 80, protocol: 'http' }
  const ports = (inside.ports ?? []).map((one) => (one.name === first.name ? { ...one, ...outside } : one))
  return spec.ports?.[0]?.name === first.name ? { ...inside, ...outside, host, ports } : { ...inside, ports }
}
