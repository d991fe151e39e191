/** `npm start` with an empty data directory, until the line that says that it is ready for traffic. */
import { join } from 'node:path'
import { ROOT } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { median } from '../percentiles.ts'
import { listeningUrl, startProgram } from '../program.ts'

const RUNS = 5

export const start: Measure = {
  name: 'start',
  about: `npm start with an empty data directory, until it listens; median of ${RUNS}`,
  run: async (bench) => {
    const seconds: number[] = []
    for (let run = 1; run <= RUNS; run += 1) {
      const began = performance.now()
      const program = await startProgram(bench, {
        what: 'npm start',
        command: 'npm',
        args: ['start'],
        cwd: ROOT,
        env: { PORT: '0', STREAMSPACE_DATA_DIR: join(bench.directory, `start-${run}`) },
        // npm hands it on, but not while it still starts: the group has nobody else in it.
        askToEnd: ({ pid }) => void process.kill(-(pid ?? 0), 'SIGTERM'),
      })
      await program.line(listeningUrl, 60_000)
      seconds.push((performance.now() - began) / 1_000)
      await program.stop()
    }
    return {
      lines: [
        {
          what: 'npm start, empty directory, until it listens',
          figure: median(seconds),
          unit: 's',
          bar: { atMost: 5 },
        },
      ],
      details: { seconds },
      doubts: [],
    }
  },
}
