/** Starts the load generator and has it run plans, one after another. */
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.ts'
import { startProgram } from '../program.ts'
import type { LoadPlan, LoadResult } from './plan.ts'

export type Load = { readonly pid: number; readonly run: (plan: LoadPlan) => Promise<LoadResult> }

const GENERATOR = fileURLToPath(new URL('generator.ts', import.meta.url))

export const startLoad = async (bench: Bench): Promise<Load> => {
  const program = await startProgram(bench, {
    what: 'the load generator',
    command: process.execPath,
    args: [GENERATOR],
    env: {},
    channel: true,
  })
  return {
    pid: program.pid,
    run: async (plan) => {
      const { scale } = bench
      const scaled = { ...plan, seconds: plan.seconds * scale, warmUpSeconds: plan.warmUpSeconds * scale }
      return (await program.ask(scaled)) as LoadResult
    },
  }
}
