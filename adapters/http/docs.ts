/**
 * `/docs`: the OpenAPI document for people, by Swagger UI from its npm package. Everything is served from
 * here; the content security policy lets nothing else in, and no inline script.
 */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RequestHandler } from 'express'
import { pageHeaders } from './security-headers.ts'

const distribution = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')))

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>StreamSpace API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<noscript>This page needs JavaScript; <a href="/openapi.json">the document itself</a> does not.</noscript>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const start = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
})
`

const headers = { ...pageHeaders, 'Cache-Control': 'no-cache' }

const text =
  (type: string, content: string): RequestHandler =>
  (_request, response) => {
    response.set(headers).type(type).send(content)
  }

const file =
  (name: string): RequestHandler =>
  (_request, response, next) => {
    response.set(headers).sendFile(name, { root: distribution, cacheControl: false }, (error) => {
      // A reader who has gone away is nobody to answer.
      if (error !== undefined && !response.headersSent) next(error)
    })
  }

/** Who opens the address that the program prints: there is no page yet but this one. */
const toDocs: RequestHandler = (_request, response) => void response.set(headers).redirect(302, '/docs')

export const docs: { readonly [path: string]: RequestHandler } = {
  '/': toDocs,
  '/docs': text('html', page),
  '/docs/': toDocs,
  '/docs/start.js': text('js', start),
  '/docs/swagger-ui.css': file('swagger-ui.css'),
  '/docs/swagger-ui-bundle.js': file('swagger-ui-bundle.js'),
  '/docs/favicon-32x32.png': file('favicon-32x32.png'),
}
