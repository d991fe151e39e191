import { expect } from 'chai'
import { isNamed, wordsOf } from '../../../domain/session/name-words.ts'

describe('the words of a name', () => {
  it('are what stands between what is neither letter nor digit', () => {
    expect(wordsOf('my_desk-top  2! über.')).to.deep.equal(['my', 'desk', 'top', '2', 'über'])
    expect(wordsOf(' -_ ')).to.deep.equal([])
  })

  const cases: readonly (readonly [name: string, q: string, isFound: boolean])[] = [
    ['Payroll report', 'PAY', true],
    ['Payroll report', 'rep pay', true],
    ['Payroll report', 'roll', false],
    ['report_for-payroll', 'for-pay', true],
    ['report for payroll', 'for-pay', false],
    ['Überbau 100%', 'über 100%', true],
    ['Überbau 100', '100%', false],
    ['%', '%', true],
    ['a%', '%', false],
  ]
  for (const [name, q, isFound] of cases)
    it(`${q} ${isFound ? 'finds' : 'does not find'} ${name}`, () => {
      expect(isNamed(name, q)).to.equal(isFound)
    })
})
