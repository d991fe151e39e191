import type { TemplateDocument } from '../../domain/template/template-codec.ts'

/** The templates that ship. */
export const catalogue: readonly TemplateDocument[] = []
