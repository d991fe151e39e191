/** A real OpenID Connect provider on this machine, whose keys a test may change. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'

export const AUDIENCE = 'https://streamspace.test'

export type OidcProvider = {
  readonly issuer: string
  /** As a program gets one, with these claims in it. */
  readonly token: (claims: Readonly<Record<string, unknown>>, audience?: string) => Promise<string>
  /** From now on tokens are signed with another key, and the old one is not published any more. */
  readonly rotate: () => Promise<void>
  /** Refuses connections until it is opened again. */
  readonly shut: () => Promise<void>
  readonly open: () => Promise<void>
  readonly stop: () => Promise<void>
}

const aKey = async (kid: string) => {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' }
}

const listening = async (server: Server, port: number): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

export const startOidcProvider = async (): Promise<OidcProvider> => {
  let handle: ReturnType<Provider['callback']>
  let claimsOfNext: Readonly<Record<string, unknown>> = {}
  let keys = 0
  let server = createServer((request, response) => void handle(request, response))
  const port = await listening(server, 0)
  const issuer = `http://127.0.0.1:${port}`

  const rotate = async (): Promise<void> => {
    keys += 1
    const provider = new Provider(issuer, {
      jwks: { keys: [await aKey(`key-${keys}`)] },
      clients: [
        {
          client_id: 'program',
          client_secret: 'of the program',
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        },
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            scope: 'sessions',
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 300,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      extraTokenClaims: () => ({ ...claimsOfNext }),
    })
    handle = provider.callback()
  }
  await rotate()

  return {
    issuer,
    token: async (claims, audience = AUDIENCE) => {
      claimsOfNext = claims
      const answer = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { Authorization: `Basic ${btoa('program:of+the+program')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience, scope: 'sessions' }),
      })
      const body = (await answer.json()) as { access_token?: string }
      if (body.access_token === undefined) throw new Error(`no token: ${JSON.stringify(body)}`)
      return body.access_token
    },
    rotate,
    shut: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
    open: async () => {
      server = createServer((request, response) => void handle(request, response))
      await listening(server, port)
    },
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
