/** What a session in a container finds in its environment (`docs/templates.md`). `PATH` is the image's. */
import type { SessionId } from '../../domain/ids.ts'
import type { Desired } from '../protocol.ts'
import type { ContainerSpec } from './spec.ts'

export const containerEnvironment = (
  sessionId: SessionId,
  desired: Desired,
  { env, ports, home }: ContainerSpec,
  accessToken: string,
): { readonly [name: string]: string } => {
  const [first] = ports
  return {
    HOME: home.path,
    ...env,
    ...desired.spec.env,
    ...(first === undefined ? {} : { PORT: String(first.port) }),
    ...Object.fromEntries(
      ports.map(({ name, port }) => [`PORT_${name.toUpperCase().replaceAll('-', '_')}`, String(port)]),
    ),
    STREAMSPACE_SESSION_ID: sessionId,
    STREAMSPACE_USER: desired.userId,
    STREAMSPACE_ACCESS_TOKEN: accessToken,
  }
}
