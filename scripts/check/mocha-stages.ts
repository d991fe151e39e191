/**
 * The kinds of tests, in the order in which they run: the fast ones first. `engines` need a Docker engine and a Kubernetes, and
 * are not part of `npm test` yet, as their agents are not finished.
 */
import { globSync } from 'node:fs'

export const mochaStages = {
  unit: ['test/domain', 'test/usecases'],
  adapters: ['test/adapters', 'test/agents'],
  e2e: ['test/e2e'],
  faults: ['test/faults'],
  engines: ['test/engines'],
} as const satisfies Record<string, readonly string[]>

export type MochaStage = keyof typeof mochaStages

export const isMochaStage = (name: string): name is MochaStage => Object.hasOwn(mochaStages, name)

/** Files, not patterns: mocha takes a pattern without a match for an error. */
export const specsOf = (root: string, stage: MochaStage): string[] =>
  mochaStages[stage].flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root }).sort())
