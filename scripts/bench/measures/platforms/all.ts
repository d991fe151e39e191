/** What sessions cost on engines, beside what the engines cost themselves: `npm run bench -- platforms`. */
import type { Measure } from '../../measure.ts'
import { starts } from './start.ts'

export const platforms: readonly Measure[] = [...starts]
