/** Settings of a platform from the environment: each wrong one is named, nothing is guessed. */
export type Environment = { readonly [name: string]: string | undefined }

export const settingReader = (environment: Environment) => {
  const wrong: string[] = []
  /** undefined: not set, or wrong and noted. */
  const read = <A>(name: string, parse: (text: string) => A | undefined, must: string): A | undefined => {
    const text = environment[name]
    if (text === undefined || text === '') return undefined
    const value = parse(text)
    if (value === undefined) wrong.push(`${name} must be ${must}, not ${JSON.stringify(text)}`)
    return value
  }
  return {
    wrong,
    read,
    wholeNumber: (name: string): number | undefined =>
      read(
        name,
        (text) => (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= 2_147_483_647 ? Number(text) : undefined),
        'a whole number from 1',
      ),
    yesOrNo: (name: string): boolean | undefined =>
      read(name, (text) => (text === 'true' ? true : text === 'false' ? false : undefined), 'true or false'),
    host: (name: string): string | undefined =>
      read(name, (text) => (/^[A-Za-z0-9.:_-]{1,255}$/.test(text) ? text : undefined), 'a host name or an address'),
  }
}

/** Without those that were not set, so that defaults hold. */
export const given = <S extends object>(said: S): { [K in keyof S]?: Exclude<S[K], undefined> } =>
  Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as never
