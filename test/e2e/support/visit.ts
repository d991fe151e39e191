/** A session's endpoint, opened as a browser opens it. */
import type { Json } from './rest.ts'

/** The token from the address, then the cookie that it is exchanged for. */
export const visit = async (address: string): Promise<{ readonly status: number; readonly html: string }> => {
  const entered = await fetch(address, { redirect: 'manual' })
  if (entered.status !== 303) return { status: entered.status, html: await entered.text() }
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
  const page = await fetch(new URL(entered.headers.get('location') ?? '/', address), { headers: { cookie } })
  return { status: page.status, html: await page.text() }
}

export const tokenOf = (endpoint: Json): string => new URL(endpoint.url).searchParams.get('token') ?? ''
export const originOf = (endpoint: Json): string => new URL(endpoint.url).origin

/** Whether anyone listens there at all. */
export const listens = (url: string): Promise<boolean> =>
  fetch(url, { redirect: 'manual' }).then(
    () => true,
    () => false,
  )
