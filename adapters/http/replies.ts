import type { Reply } from './exchange.ts'

export const ok = (body: unknown): Reply => ({ status: 200, body })

export const accepted = (body: unknown): Reply => ({ status: 202, body })

export const noContent = (): Reply => ({ status: 204 })
