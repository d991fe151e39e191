/** The templates that ship, as the files that they are: public, made at the first start, and again when this version changes one. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decode } from '../../domain/codec/field-errors.ts'
import { E } from '../../domain/fp.ts'
import { type TemplateDocument, templateDocumentCodec } from '../../domain/template/template-codec.ts'
import { parseTemplates } from '../program/parse-templates.ts'

const FOLDER = fileURLToPath(new URL('templates', import.meta.url))

/** Throws when a file is no template: then this installation is damaged, and a test of it did not run. */
export const readCatalogue = async (folder = FOLDER): Promise<readonly TemplateDocument[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  const documents: TemplateDocument[] = []
  for (const name of names)
    for (const { from, document } of await parseTemplates(name, await readFile(join(folder, name), 'utf8'))) {
      const decoded = decode(templateDocumentCodec, document)
      if (E.isLeft(decoded))
        throw new Error(`${from}: ${decoded.left.map(({ field, message }) => `${field} ${message}`).join('; ')}`)
      documents.push(decoded.right)
    }
  return documents
}
