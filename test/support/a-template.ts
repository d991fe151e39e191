import type { TemplateId } from '../../domain/ids.ts'
import type { Template } from '../../domain/template/template.ts'
import { platformsOf, type TemplateDocument } from '../../domain/template/template-codec.ts'
import { ORG, T0 } from './a-session.ts'

export const aDocument = (changes: Partial<TemplateDocument> = {}): TemplateDocument => ({
  name: 'hello-web',
  displayName: 'Hello',
  spec: { process: { command: ['node', 'hello.js'] } },
  ...changes,
})

export const aTemplate = (changes: Partial<Template> = {}): Template => {
  const document = changes.document ?? aDocument()
  return {
    id: '01890a5d-ac96-774b-bcce-b302099a8058' as TemplateId,
    orgId: ORG,
    version: 2,
    platforms: platformsOf(document.spec),
    document,
    createdAt: T0,
    archivedAt: null,
    ...changes,
  }
}
