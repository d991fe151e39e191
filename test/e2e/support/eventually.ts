/** As for all tests. */
export { eventually } from '../../support/eventually.ts'
