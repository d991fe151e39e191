/** The OpenAPI document as the routes say it, and as it was committed. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from '../../src/api/openapi.ts'
import { version } from '../../src/version.ts'
import type { OpenApi } from './breaking-changes.ts'

const PATH = 'docs/openapi.json'
const root = fileURLToPath(new URL('../..', import.meta.url))
export const documentFile = fileURLToPath(new URL(`../../${PATH}`, import.meta.url))

export const currentText = (): string => `${JSON.stringify(openApiDocument(version), null, 1)}\n`
export const currentDocument = (): OpenApi => JSON.parse(currentText())

/** null: there is none. */
export const writtenText = (): string | null => {
  try {
    return readFileSync(documentFile, 'utf8')
  } catch {
    return null
  }
}

/** As git has it there; null: without git, or before there was one. */
export const committedDocument = (reference: string): OpenApi | null => {
  try {
    const text = execFileSync('git', ['show', `${reference}:${PATH}`], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 64 * 1_048_576,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return JSON.parse(text)
  } catch {
    return null
  }
}
