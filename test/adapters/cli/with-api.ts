import { type Answers, type FakeApi, KEY, startFakeApi } from './fake-api.ts'
import { type Ran, runCli, type Surroundings } from './run-cli.ts'

export type WithApi = {
  readonly api: FakeApi
  readonly run: (args: readonly string[], surroundings?: Surroundings) => Promise<Ran>
}

/** A fake API, and the program set to it with a key. */
export const withApi = async (answers: Answers, use: (with_: WithApi) => Promise<void>): Promise<void> => {
  const api = await startFakeApi(answers)
  try {
    await use({
      api,
      run: (args, { env = {}, ...rest } = {}) =>
        runCli(args, { ...rest, env: { STREAMSPACE_URL: api.url, STREAMSPACE_API_KEY: KEY, ...env } }),
    })
  } finally {
    await api.close()
  }
}
