/**
 * The kinds of tests, in the order in which they run: the fast ones first. `docker` and `kubernetes` are those of their agents, on
 * a real engine and a real cluster.
 */
import { globSync } from 'node:fs'

export const mochaStages = {
  unit: ['test/domain', 'test/usecases'],
  adapters: ['test/adapters'],
  agents: ['test/agents'],
  e2e: ['test/e2e'],
  faults: ['test/faults'],
  docker: ['test/engines/docker'],
  kubernetes: ['test/engines/kubernetes'],
} as const satisfies Record<string, readonly string[]>

export type MochaStage = keyof typeof mochaStages

export const isMochaStage = (name: string): name is MochaStage => Object.hasOwn(mochaStages, name)

/** Files, not patterns: mocha takes a pattern without a match for an error. */
export const specsOf = (root: string, stage: MochaStage): string[] =>
  mochaStages[stage].flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root }).sort())
