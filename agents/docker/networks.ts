/**
 * A network for each org: sessions of one org may reach each other, those of two may not. The engine keeps bridges
 * apart; ports are published on one address of the host only.
 */
import { createHash } from 'node:crypto'
import { EngineError, isMissing, isStatus } from './engine.ts'
import { label } from './names.ts'
import type { Surroundings } from './session.ts'
import { freeSubnets, localRoutes } from './subnets.ts'

/** Names of orgs are for people and may be long: the network's says it by a hash, its label in full. */
export const networkName = (agentId: string, orgId: string): string =>
  `streamspace-${createHash('sha256').update(`${agentId}\0${orgId}`).digest('hex').slice(0, 16)}`

const labelsOf = (agentId: string, orgId: string) => ({
  [label.agent]: agentId,
  [label.role]: 'network',
  [label.org]: orgId,
})

const TRIES = 32

export type Networks = {
  /** Resolves to the network's name. One of an org is made by one at a time. */
  readonly ensure: (around: Surroundings, orgId: string) => Promise<string>
  /**
   * Makes it again under the same name. One that is removed in the moment in which something starts in it can stay in the engine's list
   * without its bridge, and then nothing ever starts in it again.
   */
  readonly mend: (around: Surroundings, orgId: string) => Promise<void>
  /** Removes those of other orgs than these, which are asked for when nobody is just being given one. */
  readonly removeEmpty: (around: Surroundings, inUse: () => ReadonlySet<string>) => Promise<void>
}

export const createNetworks = (): Networks => {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <A>(work: () => Promise<A>): Promise<A> => {
    const done = last.then(work, work)
    last = done.catch(() => {})
    return done
  }

  const ensure = async ({ engine, settings, ownership }: Surroundings, orgId: string): Promise<string> => {
    const name = networkName(settings.agentId, orgId)
    const all = await engine.networks()
    if (all.some((network) => network.Name === name)) return name
    const taken = all.flatMap(({ IPAM }) => (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []))
    let tries = 0
    for (const subnet of freeSubnets(settings.subnetPool, [...taken, ...(await localRoutes())])) {
      try {
        const id = await engine.createNetwork({
          Name: name,
          CheckDuplicate: true,
          Driver: 'bridge',
          IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
          Labels: labelsOf(settings.agentId, orgId),
        })
        // The engine cannot be told to make one only for the owner.
        if (await ownership.isLost()) {
          await engine.removeNetwork(id)
          throw new EngineError('another agent of this id has taken over', 409)
        }
        return name
      } catch (error) {
        if (isStatus(error, 409) && /already exists/.test((error as Error).message)) return name
        // A route of the host's own lies there, or another network since: the next one.
        tries += 1
        if (!/overlap/i.test((error as Error).message) || tries > TRIES) throw error
      }
    }
    throw new EngineError(
      'no addresses are left for another network: STREAMSPACE_DOCKER_SUBNETS names a range that is too small',
      400,
    )
  }

  const mend = async (around: Surroundings, orgId: string): Promise<void> => {
    const name = networkName(around.settings.agentId, orgId)
    const isUsed = await around.engine.removeNetwork(name).then(
      () => false,
      (error: unknown) => {
        if (isMissing(error)) return false
        // What runs in it shows that it works: whoever could not be started there means another that had its name.
        if (/has active endpoints/.test((error as Error).message)) return true
        throw error
      },
    )
    if (isUsed) return
    await ensure(around, orgId)
    around.log.warn({ network: name, orgId }, 'the network of an org was broken and is made again')
  }

  const removeEmpty = async (
    { engine, settings, log }: Surroundings,
    inUse: () => ReadonlySet<string>,
  ): Promise<void> => {
    const mine = await engine.networks({ label: [`${label.agent}=${settings.agentId}`, `${label.role}=network`] })
    for (const { Id, Name, Labels } of mine) {
      if (inUse().has(Labels?.[label.org] ?? '')) continue
      await engine.removeNetwork(Id).catch((error: unknown) => {
        // Something of somebody else is in it.
        if (isMissing(error) || isStatus(error, 403, 409)) return
        log.warn({ network: Name, error: (error as Error).message }, 'an empty network could not be removed')
      })
    }
  }

  return {
    ensure: (around, orgId) => inTurn(() => ensure(around, orgId)),
    mend: (around, orgId) => inTurn(() => mend(around, orgId)),
    removeEmpty: (around, inUse) => inTurn(() => removeEmpty(around, inUse)),
  }
}
