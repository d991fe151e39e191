import { expect } from 'chai'
import fc from 'fast-check'
import { plain } from '../../../src/cli/colour.ts'
import { type Column, renderFields, renderTable } from '../../../src/cli/table.ts'
import { fitted, harmless, oneLine, textWidth } from '../../../src/cli/text-width.ts'

type Row = { readonly id: string; readonly name: string | null; readonly note: string }

const columns: readonly Column<Row>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name, shrinks: true },
  { title: 'NOTE', cell: ({ note }) => note, shrinks: true, colour: () => 'red' },
]

const rows: readonly Row[] = [
  { id: '01890a5d-ac96', name: 'short', note: 'x' },
  { id: '01890a5d-ac97', name: null, note: 'a note that is rather long for a narrow terminal' },
]

describe('tables', () => {
  it('are aligned, end without spaces, and show a dash for what is not there', () => {
    expect(renderTable(columns, rows)).to.equal(
      `ID             NAME   NOTE
01890a5d-ac96  short  x
01890a5d-ac97  -      a note that is rather long for a narrow terminal`,
    )
  })

  it('fit a terminal: what may shrink gives way, ids do not', () => {
    expect(renderTable(columns, rows, { width: 40, paint: plain })).to.equal(
      `ID             NAME   NOTE
01890a5d-ac96  short  x
01890a5d-ac97  -      a note that is ra…`,
    )
  })

  it('count what East Asian characters and emoji take', () => {
    expect([textWidth('日本'), textWidth('🚀'), textWidth('é'), textWidth('e\u0301')]).to.deep.equal([4, 2, 1, 1])
    expect(fitted('日本語', 4)).to.equal('日…')
  })

  it('are coloured without the colours counting as width', () => {
    const painted = renderTable(columns, rows, { width: 40, paint: (text, colour) => (colour ? `<${text}>` : text) })
    expect(painted.replaceAll(/[<>]/g, '')).to.equal(renderTable(columns, rows, { width: 40, paint: plain }))
    expect(painted).to.contain('<x>')
  })

  it('are never wider than the terminal and never more lines than rows', () => {
    const row = fc.record({ id: fc.string(), name: fc.option(fc.string({ unit: 'grapheme' })), note: fc.string() })
    fc.assert(
      fc.property(fc.array(row, { maxLength: 5 }), fc.integer({ min: 1, max: 100 }), (some, width) => {
        const lines = renderTable(columns, some, { width, paint: plain }).split('\n')
        expect(lines.length).to.equal(some.length + 1)
        for (const line of lines) expect(textWidth(line)).to.be.at.most(width)
      }),
    )
  })

  it('let nothing through that a terminal would obey', () => {
    expect(oneLine('a\u001b[2Jb\u001b]0;title\u0007c\nd\u202ee\u009bf')).to.equal('abc d e f')
    expect(harmless('one\r\n\u001b[31mtwo\u0007\tthree')).to.equal('one\ntwo    three')
  })

  it('leave out fields that have no value', () => {
    expect(
      renderFields([
        ['name', 'mine'],
        ['reason', null],
        ['labels', ''],
        ['url', 'http://x'],
      ]),
    ).to.equal('name  mine\nurl   http://x')
  })
})
