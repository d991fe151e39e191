/**
 * One run of one measure: where it keeps its files, and what has to end when it is over. Everything that a
 * measure starts is given to `ends`, so that a failure or a Ctrl-C in the middle leaves nothing behind.
 */
export type Bench = {
  /** For this run alone; removed when it is over. On the disk of the checkout: a /tmp in memory has no fsync. */
  readonly directory: string
  /** Multiplies durations: 1, or less for a run that only shows that everything works. */
  readonly scale: number
  /** Where the server and the agents leave CPU profiles, if wanted. */
  readonly profiles: string | null
  readonly say: (text: string) => void
  /** Ends are called in the reverse order. Throws, after calling it, when the run is being stopped already. */
  readonly ends: (what: string, end: () => Promise<void>) => void
}

export type Endings = {
  readonly add: Bench['ends']
  /** Safe to call twice; what cannot end does not keep the others from ending. */
  readonly endAll: () => Promise<void>
}

export const createEndings = (failed: (what: string, error: unknown) => void): Endings => {
  const endings: { readonly what: string; readonly end: () => Promise<void> }[] = []
  let ended = false
  const endOne = ({ what, end }: (typeof endings)[number]) => end().catch((error: unknown) => failed(what, error))
  return {
    add: (what, end) => {
      if (!ended) {
        endings.push({ what, end })
        return
      }
      void endOne({ what, end })
      throw new Error(`${what} came when the run was being stopped`)
    },
    endAll: async () => {
      ended = true
      for (let last = endings.pop(); last !== undefined; last = endings.pop()) await endOne(last)
    },
  }
}
