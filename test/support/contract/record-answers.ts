/**
 * Loaded with `--import` into the servers that tests start, of which nothing knows that it is there: appends every answer to the
 * file of STREAMSPACE_TEST_CONTRACT. The run of the tests judges them (`every-answer.ts`): reading the OpenAPI document and what
 * checks against it would take each of some hundred servers a third of what it takes to start.
 */
import { appendFileSync } from 'node:fs'
import { watchAnswers } from './watch-answers.ts'

const file = process.env.STREAMSPACE_TEST_CONTRACT

// At once: a server that is killed has said it all the same.
if (file) watchAnswers((said) => appendFileSync(file, `${JSON.stringify(said)}\n`))
