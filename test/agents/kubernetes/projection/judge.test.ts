import { expect } from 'chai'
import { kinds } from '../../../../agents/kubernetes/kinds.ts'
import { afterWrite, type Entry, judge, sentOf } from '../../../../agents/kubernetes/projection/judge.ts'
import { type Content, fieldsThatDiffer, type View, viewOf } from '../../../../agents/kubernetes/projection/object.ts'

describe('what is to be done about an object', () => {
  const content = (change: Partial<Content> = {}): Content => ({
    labels: { l: '1' },
    owner: 'o',
    spec: { a: 1 },
    status: { s: 1 },
    ...change,
  })
  const view = (change: Partial<View> = {}): View => ({
    uid: 'u',
    resourceVersion: '1',
    content: content(),
    editors: [],
    ...change,
  })
  const wanted = (change: Partial<Content> = {}, mayMake = true) => ({
    kind: kinds.session,
    name: 'n',
    content: content(change),
    mayMake,
  })
  const entry = (change: Partial<Entry> = {}): Entry => ({
    written: view(),
    sent: sentOf(wanted()),
    seen: view(),
    ...change,
  })
  const nothing: Entry = { written: null, sent: null, seen: null }

  it('nothing while it is as it was written, though the server left out what it does not know', () => {
    const less = view({ content: content({ spec: {} }) })
    expect(judge(entry({ written: less, seen: less }), wanted()).kind).to.equal('nothing')
  })

  it('is made where there is none, unless it is to go', () => {
    expect(judge(nothing, wanted())).to.deep.include({ kind: 'write', main: true, status: true, edit: null })
    expect(judge(nothing, wanted({}, false)).kind).to.equal('nothing')
    expect(judge(nothing, null).kind).to.equal('forget')
    expect(judge(nothing, 'leave').kind).to.equal('nothing')
  })

  it('is written by halves', () => {
    const step = (change: Partial<Content>) => judge(entry(), wanted(change))
    expect(step({ status: { s: 2 } })).to.deep.include({ kind: 'write', main: false, status: true, edit: null })
    expect(step({ spec: { a: 2 } })).to.deep.include({ kind: 'write', main: true, status: false, edit: null })
  })

  it('of an edit the edited half is written, and what it was is told', () => {
    const edited = view({ resourceVersion: '2', content: content({ spec: { a: 9, b: 1 } }), editors: ['kubectl'] })
    expect(judge(entry({ seen: edited }), wanted())).to.deep.include({
      main: true,
      status: false,
      edit: { what: 'edited', fields: ['spec.a', 'spec.b'], by: ['kubectl'] },
    })
    expect(judge(entry({ seen: null }), wanted())).to.deep.include({ kind: 'write', edit: { what: 'deleted' } })
  })

  it('an edit of the half that was not written at the same time is still seen afterwards', () => {
    const step = judge(entry(), wanted({ status: { s: 2 } }))
    if (step.kind !== 'write') expect.fail(step.kind)
    const answer = view({ resourceVersion: '3', content: content({ spec: { a: 9 }, status: { s: 2 } }) })
    const after = afterWrite(entry(), answer, step)
    expect(judge(after, wanted({ status: { s: 2 } }))).to.deep.include({ kind: 'write', main: true, status: false })
  })

  it('of what an agent before this one left: accepted, brought up to date, or told where somebody else wrote', () => {
    const found = (seen: View): Entry => ({ written: null, sent: null, seen })
    expect(judge(found(view()), wanted()).kind).to.equal('accept')
    const old = { content: content({ status: { s: 0 } }) }
    expect(judge(found(view(old)), wanted())).to.deep.include({ main: false, status: true, edit: null })
    expect(judge(found(view({ ...old, editors: ['kubectl'] })), wanted())).to.have.nested.property(
      'edit.what',
      'edited',
    )
  })

  it('is removed where nothing is wanted; what somebody else has made is told', () => {
    expect(judge(entry(), null)).to.deep.equal({ kind: 'remove', uid: 'u', edit: null })
    const made = { written: null, sent: null, seen: view({ editors: ['kubectl'] }) }
    expect(judge(made, null)).to.deep.include({ edit: { what: 'made', by: ['kubectl'] } })
  })

  it('only what is ours of an object counts', () => {
    const metadata = { name: 'n', uid: 'u', labels: { ours: '1', theirs: '2' }, annotations: { x: 'y' } }
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'y' }]
    const managedFields = [
      { manager: 'kubectl-annotate', fieldsV1: { 'f:metadata': { 'f:annotations': {} } } },
      { manager: 'kubectl-edit', fieldsV1: { 'f:spec': {} } },
      { manager: 'streamspace-projection', fieldsV1: { 'f:spec': {} } },
    ]
    const seen = viewOf({ metadata: { ...metadata, ownerReferences, managedFields } }, ['ours'])
    expect(seen.content).to.deep.equal({ labels: { ours: '1' }, owner: null, spec: {}, status: {} })
    expect(seen.editors).to.deep.equal(['kubectl-edit'])
    expect(
      fieldsThatDiffer(content({ status: { x: { y: [1] } } }), content({ owner: 'p', status: { x: { y: [2] } } })),
    ).to.deep.equal(['metadata.ownerReferences', 'status.x.y'])
  })
})
