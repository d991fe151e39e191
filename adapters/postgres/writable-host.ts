/**
 * Which of several hosts takes writes. Whoever wants a connection asks here first; those who ask at the same
 * moment, and for a second after, get one answer.
 *
 * The host of the last answer is asked first and the others only when it says no or is slow to answer: while nothing
 * is wrong, each answer costs one short connection, and when a host is gone that swallows everything, it costs a
 * quarter of a second and not a timeout.
 */

export type Hosts = {
  /** The address that takes writes. Rejects with the reasons of all when none does. */
  readonly writable: () => Promise<string>
  /** It does not any more: the next one who asks looks anew. */
  readonly forget: () => void
}

/** Short enough for a failover, long enough that a pool which fills up asks once. */
const ANSWER_GOOD_FOR_MS = 1_000
const OTHERS_AFTER_MS = 250

export const createHosts = (addresses: readonly string[], takesWrites: (address: string) => Promise<void>): Hosts => {
  let last = addresses[0] ?? ''
  let answer: Promise<string> | null = null

  const look = async (): Promise<string> => {
    const [best, others] = [last, addresses.filter((address) => address !== last)]
    const ask = (address: string): Promise<string> => takesWrites(address).then(() => address)
    const first = ask(best)
    if ((await quickly(first)) === 'yes') return best
    try {
      return await Promise.any([first, ...others.map(ask)])
    } catch (error) {
      throw noneTakesWrites([best, ...others], (error as AggregateError).errors)
    }
  }

  return {
    writable: () => {
      if (answer !== null) return answer
      const asked = look()
      answer = asked
      const forget = (): void => {
        if (answer === asked) answer = null
      }
      asked.then((address) => {
        last = address
        setTimeout(forget, ANSWER_GOOD_FOR_MS).unref()
      }, forget)
      return asked
    },
    forget: () => {
      answer = null
    },
  }
}

const quickly = (answer: Promise<unknown>): Promise<'yes' | 'no' | 'slow'> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve('slow'), OTHERS_AFTER_MS)
    answer
      .then(
        () => resolve('yes'),
        () => resolve('no'),
      )
      .finally(() => clearTimeout(timer))
  })

/** SQLSTATE 08001, "unable to establish a connection": whoever waits for a database tries again. */
const noneTakesWrites = (addresses: readonly string[], reasons: readonly Error[]): Error => {
  const said = addresses.map((address, index) => {
    const reason = reasons[index]
    const words = reason?.message || (reason as { code?: string } | undefined)?.code || 'no reason given'
    return `${hostOf(address)}: ${words}`
  })
  return Object.assign(new AggregateError(reasons, `no host takes writes: ${said.join('; ')}`), { code: '08001' })
}

const hostOf = (address: string): string => address.replace(/^[^/]*\/\/(?:[^/?#]*@)?/, '').replace(/[/?#].*$/, '')
