/** What it takes to reach a session: its address and its access token, found again where another agent made them. */
import type { V1Secret, V1Service } from '@kubernetes/client-node'
import type { SessionId } from '../../domain/ids.ts'
import { isGone } from './api.ts'
import { kinds } from './kinds.ts'
import { nameOf } from './names.ts'
import { tokenIn } from './parts.ts'
import { type Life, recordOf, type Surroundings } from './session-life.ts'

export const addressIn = (service: V1Service | null): string | null => service?.spec?.clusterIP ?? null

const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
  try {
    return await asked
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** null: there is none, so nobody has its link. */
export const readToken = async ({ objects }: Surroundings, sessionId: SessionId): Promise<string | null> => {
  const secret = await orNull(objects.get<V1Secret>(kinds.secret, nameOf(sessionId)))
  return secret === null ? null : tokenIn(secret)
}

/** Asks for nothing that is known already. */
export const findWay = async (around: Surroundings, life: Life): Promise<void> => {
  const record = recordOf(life)
  if (record === null || (record.desired.spec.ports ?? []).length === 0) return
  life.address ??= record.address
  life.address ??= addressIn(await orNull(around.objects.get<V1Service>(kinds.service, nameOf(life.sessionId))))
  // Empty: asked for in vain, while there was none.
  life.accessToken ||= await readToken(around, life.sessionId)
}
