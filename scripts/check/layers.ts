/**
 * Checks the imports of the whole product against the layers in `.dependency-cruiser.cjs`.
 *
 *   node scripts/check/layers.ts [root]
 *
 * dependency-cruiser passes when it has seen nothing: without a parser that knows today's TypeScript it reads
 * no `.ts` file, finds no violation and says so in green. So the files are counted here as well, and a module
 * that was not looked at fails the check just as a forbidden import does.
 */
import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cruise, type ICruiseOptions, type ICruiseResult, type IFlattenedRuleSet } from 'dependency-cruiser'

const layeredFolders = ['src', 'domain', 'adapters', 'agents'] as const

export type LayerReport = {
  readonly files: number
  readonly cruised: number
  /** One line or more for each thing that is wrong; empty when all is well. */
  readonly problems: readonly string[]
}

type LayerRules = { readonly forbidden: NonNullable<IFlattenedRuleSet['forbidden']>; readonly options: ICruiseOptions }

export const shippedRules = (): LayerRules =>
  createRequire(import.meta.url)('../../.dependency-cruiser.cjs') as LayerRules

/** Checks the tree below `root`. Never throws for a violation; throws when the check itself cannot run. */
export const checkLayers = async (root: string, rules: LayerRules = shippedRules()): Promise<LayerReport> => {
  const files = (await Promise.all(layeredFolders.map((folder) => typescriptFiles(root, folder)))).flat()
  const folders = layeredFolders.filter((folder) => files.some((file) => file.startsWith(`${folder}/`)))
  if (folders.length === 0) {
    return { files: 0, cruised: 0, problems: [`no .ts file below ${root} in ${layeredFolders.join(', ')}`] }
  }
  const result = await cruise([...folders], {
    ...rules.options,
    baseDir: root,
    validate: true,
    ruleSet: { forbidden: rules.forbidden },
  })
  if (typeof result.output === 'string') throw new Error(`dependency-cruiser answered with text: ${result.output}`)
  const { modules } = result.output
  const seen = new Set(modules.map((module) => module.source))
  const unseen = files.filter((file) => !seen.has(file))
  return {
    files: files.length,
    cruised: files.length - unseen.length,
    problems: [...unseen.map(notCruised), ...violations(result.output, rules)],
  }
}

const typescriptFiles = async (root: string, folder: string): Promise<string[]> => {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('node_modules'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
}

const notCruised = (file: string): string =>
  `${file}: not looked at. dependency-cruiser could not read it; is @swc/core installed (npm ci), and does the file parse?`

const violations = (result: ICruiseResult, rules: LayerRules): string[] => {
  const reasons = new Map(rules.forbidden.map((rule) => [rule.name, rule.comment]))
  return result.summary.violations.map((violation) => {
    const way = violation.cycle?.map((step) => step.name).join(' → ') ?? violation.to
    const rule = violation.rule.name
    return `${violation.from} → ${way}\n    ${rule}: ${reasons.get(rule) ?? 'see .dependency-cruiser.cjs'}`
  })
}

const main = async (): Promise<void> => {
  const root = resolve(process.argv[2] ?? fileURLToPath(new URL('../..', import.meta.url)))
  const report = await checkLayers(root)
  for (const problem of report.problems) console.error(`  ${problem}`)
  console.log(`layers: ${report.cruised} of ${report.files} modules looked at, ${report.problems.length} problems`)
  if (report.problems.length > 0) process.exitCode = 1
}

if (import.meta.main) await main()
