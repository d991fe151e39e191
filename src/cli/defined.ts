type Defined<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

/** Without what was not given: the API tells what is left out from what is null. */
export const defined = <A extends object>(fields: A): Defined<A> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<A>
