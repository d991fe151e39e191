/** As for all tests, with the patience that whole programs need on a machine that is busy. */
import { eventually as within } from '../../support/eventually.ts'

const PATIENCE_MS = 20_000

export const eventually: typeof within = (assertion, patience = {}) =>
  within(assertion, { within: PATIENCE_MS, ...patience })
