/** Template documents from files. */
import { parseTemplates, type TemplateFile } from '../program/parse-templates.ts'
import { readText } from './read-text.ts'

/** `-` is standard input. All of it is read and understood before anything is sent. */
export const readTemplates = async (paths: readonly string[]): Promise<readonly TemplateFile[]> => {
  const found: TemplateFile[] = []
  for (const path of paths) {
    const name = path === '-' ? 'standard input' : path
    found.push(...(await parseTemplates(name, await readText(path))))
  }
  return found
}
