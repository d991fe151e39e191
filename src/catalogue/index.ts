import type { TemplateDocument } from '../../domain/template/template-codec.ts'
import { fileBrowser } from './file-browser.ts'
import { helloWeb } from './hello-web.ts'
import { staticSite } from './static-site.ts'

/** The templates that ship: public, made at the first start, and again when this version changes one. */
export const catalogue: readonly TemplateDocument[] = [helloWeb, fileBrowser, staticSite]
