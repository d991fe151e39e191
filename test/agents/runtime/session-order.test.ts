/** Whatever the order in which commands arrive and applies end, the newest intent is what is left. */
import { expect } from 'chai'
import fc from 'fast-check'
import type { CommandFrame, Frame } from '../../../agents/protocol.ts'
import type { Report } from '../../../agents/runtime/report-buffer.ts'
import { createSessionExecutor } from '../../../agents/runtime/session-executor.ts'
import { collectingLog } from '../../support/agents-under-test.ts'
import { aCommand, sessionIdOf } from '../../support/control-plane.ts'
import { createLedgerPlatform } from '../../support/ledger-platform.ts'

/** What is asked at a generation is fixed by the generation, as it is in the rows. */
const stateAt = (generation: number): CommandFrame['desired']['state'] =>
  (['running', 'stopped', 'running', 'hibernated', 'deleted'] as const)[generation % 5]!

const sessions = [1, 2, 3]
const arrivals = fc.array(
  fc.record({ session: fc.constantFrom(...sessions), generation: fc.integer({ min: 1, max: 8 }) }),
  {
    minLength: 1,
    maxLength: 30,
  },
)

describe('any order of arrival', () => {
  it('ends with the highest generation applied, and effects only ever rise', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        fc.scheduler(),
        fc.integer({ min: 1, max: 3 }),
        async (arriving, scheduler, parallel) => {
          const results: Frame<'result'>[] = []
          const ledger = createLedgerPlatform({ delay: () => scheduler.schedule(Promise.resolve()) })
          const executor = createSessionExecutor({
            platform: ledger,
            parallel,
            report: (report: Report) => report.type === 'result' && results.push(report),
            log: collectingLog().log,
          })
          const commands = arriving.map(({ session, generation }) =>
            aCommand({ session, generation, state: stateAt(generation), persistentHome: session === 2 }),
          )
          scheduler.scheduleSequence(commands.map((command) => async () => executor.accept(command, 'a connection')))
          await scheduler.waitIdle()

          expect(ledger.violations).to.deep.equal([])
          for (const session of sessions) {
            const asked = commands.filter((command) => command.sessionId === sessionIdOf(session))
            if (asked.length === 0) continue
            const highest = Math.max(...asked.map((command) => command.generation))
            const effects = ledger.effects.filter((effect) => effect.sessionId === sessionIdOf(session))
            const generations = effects.map((effect) => effect.generation)
            expect(generations).to.deep.equal([...new Set(generations)].sort((a, b) => a - b))
            expect(generations.at(-1)).to.equal(highest)
          }
          // Each command is answered once; those of the highest generation with `applied`.
          expect(results.map((result) => result.commandId).sort()).to.deep.equal(
            commands.map((each) => each.commandId).sort(),
          )
          for (const { sessionId, generation, outcome } of results) {
            const highest = Math.max(
              ...commands.filter((each) => each.sessionId === sessionId).map((each) => each.generation),
            )
            expect(outcome).to.be.oneOf(generation === highest ? ['applied'] : ['applied', 'superseded'])
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})
