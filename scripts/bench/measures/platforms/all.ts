/** What sessions cost on engines, beside what the engines cost themselves: `npm run bench -- platforms`. */
import type { Measure } from '../../measure.ts'
import { lifeCalls } from './life-calls.ts'
import { starts } from './start.ts'
import { thousands } from './thousand.ts'

export const platforms: readonly Measure[] = [...starts, ...thousands, lifeCalls]
