/**
 * Room for a bounded number of items of many, none of whom can fill it for the others. Whoever is alone has all of it; when it is full, what
 * is newest of whoever has most makes room (longest queue drop: Suter, Lakshman, Stiliadis, Choudhury, Design considerations for supporting
 * TCP with per-flow queueing, 1998). They are taken out in turn. Every step costs the same, however many there are.
 */

export type SharedRoom<T> = {
  readonly size: () => number
  /** What is left out: null, or an item of whoever has most, which may be this one. `group`, and `member` in it: whose it is. */
  readonly add: (group: string, member: string, item: T) => T | null
  /** Those that came first, of each group one after another, and in a group of each of its members. */
  readonly take: (most: number) => T[]
}

export const createSharedRoom = <T>(most: number): SharedRoom<T> => {
  const groups = createLines(() => createLines(() => createLine<T>()))
  return {
    size: groups.size,
    add: (group, member, item) => {
      groups.add([group, member], item)
      return groups.size() > most ? groups.dropNewest([group, member]) : null
    },
    take: (count) => Array.from({ length: Math.min(count, groups.size()) }, groups.takeOldest),
  }
}

type Line<T> = {
  readonly size: () => number
  readonly add: (path: readonly string[], item: T) => void
  /** To be asked of one that is not empty. */
  readonly takeOldest: () => T
  /** The same. Of several that are the longest it is that of `path`. */
  readonly dropNewest: (path: readonly string[]) => T
}

const createLine = <T>(): Line<T> => {
  const items: T[] = []
  return {
    size: () => items.length,
    add: (_, item) => void items.push(item),
    takeOldest: () => items.shift() as T,
    dropNewest: () => items.pop() as T,
  }
}

const createLines = <T>(create: () => Line<T>): Line<T> => {
  /** In the order of their turns. */
  const lines = new Map<string, Line<T>>()
  const lengths = createLengths()
  let size = 0

  const without = (name: string, line: Line<T>, take: (line: Line<T>) => T): T => {
    const item = take(line)
    size -= 1
    lengths.changed(name, line.size() + 1, line.size())
    if (line.size() === 0) lines.delete(name)
    return item
  }
  return {
    size: () => size,
    add: ([name = '', ...path], item) => {
      const line = lines.get(name) ?? create()
      lines.set(name, line)
      line.add(path, item)
      size += 1
      lengths.changed(name, line.size() - 1, line.size())
    },
    takeOldest: () => {
      const [name, line] = lines.entries().next().value as [string, Line<T>]
      // Behind all others.
      lines.delete(name)
      lines.set(name, line)
      return without(name, line, (its) => its.takeOldest())
    },
    dropNewest: ([name = '', ...path]) => {
      const longest = lengths.longest(name)
      return without(longest, lines.get(longest) as Line<T>, (its) => its.dropNewest(path))
    },
  }
}

/** Which of many lines is the longest, when each change is by one. */
const createLengths = () => {
  const named = new Map<number, Set<string>>()
  let most = 0
  return {
    changed: (name: string, from: number, to: number): void => {
      const left = named.get(from)
      left?.delete(name)
      if (left?.size === 0) named.delete(from)
      const among = named.get(to) ?? new Set()
      if (to > 0) named.set(to, among.add(name))
      // The only longest one that becomes shorter by one is still no shorter than any other.
      if (to > most || (from === most && !named.has(most))) most = to
    },
    longest: (preferred: string): string => {
      const longest = named.get(most) as Set<string>
      return longest.has(preferred) ? preferred : (longest.values().next().value as string)
    },
  }
}
