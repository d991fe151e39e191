import type { Reply } from './exchange.ts'

export const ok = (body: unknown): Reply => ({ status: 200, body })

export const noContent = (): Reply => ({ status: 204 })
