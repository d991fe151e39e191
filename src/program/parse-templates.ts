/** Template documents as text: JSON, or YAML with one or several documents. */
import { ExitError } from './exit-error.ts'

export type TemplateFile = {
  /** For people: the file, and which document of it. */
  readonly from: string
  readonly document: { readonly [field: string]: unknown }
}

/** `name` says what it is: `.json` is JSON, everything else YAML, of which JSON is a part. */
export const parseTemplates = async (name: string, text: string): Promise<readonly TemplateFile[]> => {
  const documents = (name.endsWith('.json') ? fromJson(name, text) : await fromYaml(name, text)).flatMap((one) =>
    Array.isArray(one) ? one : [one],
  )
  if (documents.length === 0) throw new ExitError(1, `${name}: there is no template in it`)
  return documents.map((document, index) => {
    const from = documents.length === 1 ? name : `${name}, document ${index + 1}`
    if (typeof document !== 'object' || document === null || Array.isArray(document))
      throw new ExitError(1, `${from}: a template is an object with name, displayName and spec`)
    return { from, document: document as TemplateFile['document'] }
  })
}

const fromJson = (name: string, text: string): unknown[] => {
  try {
    return [JSON.parse(text)]
  } catch (error) {
    throw new ExitError(1, `${name}: this is not JSON: ${(error as Error).message}`)
  }
}

const fromYaml = async (name: string, text: string): Promise<unknown[]> => {
  const { parseAllDocuments } = await import('yaml')
  const parsed = parseAllDocuments(text, { uniqueKeys: true })
  if (!Array.isArray(parsed)) return []
  const [mistake] = parsed.flatMap(({ errors }) => errors)
  if (mistake !== undefined) throw new ExitError(1, `${name}: this is not YAML: ${mistake.message.trimEnd()}`)
  try {
    // An empty document (nothing after `---`) is no template and no mistake.
    return parsed.map((document): unknown => document.toJS()).filter((value) => value !== null && value !== undefined)
  } catch (error) {
    throw new ExitError(1, `${name}: this is not YAML: ${(error as Error).message}`)
  }
}
