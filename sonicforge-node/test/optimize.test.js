// The optimizer through Node: stores, errors, workers at once.

import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { PromptOptimizer, PromptReport, Space, evaluatePolicy } from '../lib/index.js'

const space = Space.of({ genre: ['jazz', 'ambient', 'techno', 'lo-fi'], mood_of_day: ['calm', 'dark', 'happy', 'sad'] })

test('a round', async () => {
  const store = join(mkdtempSync(join(tmpdir(), 'sonicforge-')), 'taste.db')
  const optimizer = await PromptOptimizer.open(space, { store })
  assert.equal((await optimizer.start('rain')).length, 4)
  const suggestion = await optimizer.suggest('rain')
  assert.ok(suggestion.prompt.startsWith('rain, '))
  assert.equal(suggestion.propensity, 0.25)
  assert.equal(suggestion.candidates.length, 4)
  // Another process, later: the token is enough.
  const later = await PromptOptimizer.open(space, { store })
  assert.equal(await later.reward(suggestion.token, 1), 'new')
  assert.equal(await later.reward(suggestion.token, 1), 'duplicate')
  assert.equal(await later.reward(suggestion.token, 0, { revision: 2 }), 'revised')
  assert.equal(await later.reward(suggestion.token, 1, { revision: 1 }), 'stale')
  assert.deepEqual((await later.log('rain')).map((row) => row.reward), [0])
  // Slots are the user's words: they keep their spelling.
  const [variant] = await later.variants('rain')
  assert.deepEqual(Object.keys(variant.slots).sort(), ['genre', 'mood_of_day'])
})

test('it learns, reports, evolves, and says what another policy would have earned', async () => {
  const optimizer = await PromptOptimizer.open(space, { seed: 3n })
  const variants = await optimizer.start('rain')
  const jazz = variants.find(({ slots }) => slots.genre === 'jazz').id
  let state = 1
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  for (let n = 0; n < 300; n += 1) {
    const { token, variant } = await optimizer.suggest('rain')
    await optimizer.reward(token, random() < (variant === jazz ? 0.9 : 0.2) ? 1 : 0)
  }
  const report = await optimizer.report('rain', { pBest: 0.9 })
  assert.ok(report.finished)
  assert.equal(report.leader, jazz)
  const again = PromptReport.fromJson(report.toJson())
  assert.deepEqual({ ...again }, { ...report })
  assert.ok(report.svg().startsWith('<svg') && report.summary().includes('P(best)'))
  const uniform = Object.fromEntries(variants.map(({ id }) => [id, 0.25]))
  const evaluation = await optimizer.evaluate('rain', uniform)
  assert.equal(evaluation.decisions, 300)
  const { retired, added } = await optimizer.evolve('rain', { below: 0.01, atLeast: 5 })
  assert.equal(retired.length, added.length)
  assert.equal((await optimizer.propose('rain', 2)).length, 2)
})

test('metrics, duels, contexts and free text', async () => {
  const optimizer = await PromptOptimizer.open(null, {
    metrics: [{ name: 'stars', kind: 'rating' }, { name: 'cost', kind: 'real', weight: -0.01 }, { name: 'clips', weight: 0, atMost: 0.1 }],
    policy: { mode: 'optimistic', floor: 0.1, maxShare: 0.9 },
    drift: { discount: 0.99 },
    secret: '0123456789abcdef',
  })
  const a = await optimizer.add('rain', { text: 'slow piano', control: true })
  const b = await optimizer.add('rain', 'fast drums')
  const { token } = await optimizer.suggest('rain', { context: Float32Array.of(0.5, -0.25) })
  const feedback = [{ token, value: 0.75 }, { token, value: 3, metric: 'cost' }, { token, value: 0, metric: 'clips' }]
  assert.deepEqual(await optimizer.rewardAll(feedback), ['new', 'new', 'new'])
  const duel = await optimizer.suggestDuel('rain')
  assert.deepEqual([duel.first.id, duel.second.id].sort(), [a.id, b.id].sort())
  assert.equal(await optimizer.reward(duel.token, 0.5), 'new')
  assert.equal(new Set((await optimizer.suggestTop('rain', 2)).map((s) => s.variant)).size, 2)
  assert.equal((await optimizer.suggestBatch('rain', 500)).length, 500)
  await optimizer.setControl('rain', b.id)
  await optimizer.setStatus('rain', a.id, 'paused')
  assert.deepEqual(await optimizer.policy('rain'), { [b.id]: 1 })
  assert.equal((await optimizer.options()).policy.maxShare, 0.9)
  assert.deepEqual(await optimizer.concepts(), ['rain'])
  assert.equal(await optimizer.flush(), 0)
})

test('a suggestion at once is the same suggestion', async () => {
  const prompts = ['slow piano', '{"}ü雨"} ~', 'drums', 'a'.repeat(300), '~{']
  const make = async () => {
    const optimizer = await PromptOptimizer.open(null, { seed: 7, refreshMs: 4_000_000_000 })
    for (const prompt of prompts) await optimizer.add('r\u00e9gn', prompt)
    return optimizer
  }
  const kept = await make()
  const first = await kept.suggest('r\u00e9gn', { decision: '0'.repeat(24), epoch: 1 })
  for (let n = 0; n < 40; n += 1) {
    const how = { decision: n.toString(16).padStart(24, '0'), epoch: 1 }
    // Of an optimizer that has made no policy yet, the first suggestion cannot come at once.
    const slow = await (await make()).suggest('r\u00e9gn', how)
    assert.deepEqual(await kept.suggest('r\u00e9gn', how), slow)
    assert.equal(slow.decision, how.decision)
    assert.ok(prompts.includes(slow.prompt) && Object.isFrozen(slow.candidates[0]))
  }
  // After a reward there is another policy.
  for (let n = 0; n < 5; n += 1) await kept.reward((await kept.suggest('r\u00e9gn')).token, 1)
  const seen = new Map()
  for (let n = 0; n < 200; n += 1) {
    const { candidates, variant, propensity } = await kept.suggest('r\u00e9gn')
    seen.set(variant, propensity)
    assert.deepEqual(Object.fromEntries(candidates.map((c) => [c.variant, c.propensity])), await kept.policy('r\u00e9gn'))
    assert.equal(candidates.find((c) => c.variant === variant).propensity, propensity)
  }
  assert.notDeepEqual([...seen.values()], first.candidates.map(() => 0.2))
  await assert.rejects(kept.suggest('r\u00e9gn', { decision: 'zz' }), { code: 'SF_INVALID_ARGUMENT', message: /24 digits/ })
  await assert.rejects(kept.suggest('nowhere'), { code: 'SF_INVALID_ARGUMENT', message: /no variants/ })
})

test('more concepts than are kept in mind', async () => {
  const many = await PromptOptimizer.open(null, { refreshMs: 4_000_000_000, model: 'independent' })
  const concepts = Array.from({ length: 1_100 }, (_, n) => `concept ${n}`)
  await Promise.all(concepts.map((concept) => many.add(concept, `prompt of ${concept}`)))
  for (let round = 0; round < 3; round += 1) {
    for (const concept of concepts) {
      const { prompt, candidates } = await many.suggest(concept)
      assert.equal(prompt, `prompt of ${concept}`)
      assert.equal(candidates.length, 1)
    }
  }
})

test('a batch', async () => {
  const optimizer = await PromptOptimizer.open(space, { seed: 5n })
  await optimizer.start('rain', 12)
  assert.deepEqual(await optimizer.suggestBatch('rain', 0), [])
  const batch = await optimizer.suggestBatch('rain', 333)
  assert.equal(new Set(batch.map(({ token }) => token)).size, 333)
  const texts = new Map((await optimizer.variants('rain')).map(({ id, text }) => [id, text]))
  const policy = await optimizer.policy('rain')
  for (const { concept, prompt, variant, propensity, candidates } of batch) {
    assert.equal(concept, 'rain')
    assert.equal(prompt, texts.get(variant))
    assert.equal(propensity, policy[variant])
    assert.equal(candidates, batch[0].candidates)
  }
  assert.ok(new Set(batch.map(({ variant }) => variant)).size > 8)
  assert.ok((await optimizer.rewardAll(batch.map(({ token }) => ({ token, value: 1 })))).every((what) => what === 'new'))
  // The ledger has the decisions that the suggestions name.
  const state = await optimizer.exportState()
  assert.ok(batch.every(({ decision }) => state.includes(decision)))
  await assert.rejects(optimizer.suggestBatch('nowhere', 3), { code: 'SF_INVALID_ARGUMENT' })
})

test('what is wrong is said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sonicforge-'))
  writeFileSync(join(folder, 'text.db'), 'this is no database at all, but long enough to be looked at'.repeat(20))
  await assert.rejects(PromptOptimizer.open(space, { store: join(folder, 'text.db') }), { code: 'SF_STORE' })
  await assert.rejects(PromptOptimizer.open(space, { store: join(folder, 'no', 'where.db') }), { code: 'SF_STORE' })
  for (const wrong of [{ policy: { floor: 2 } }, { policy: { flor: 0 } }, { prior: [NaN, 1] }, { seed: -1 }, { drift: 'fast' }, { sed: 1 }]) {
    await assert.rejects(PromptOptimizer.open(space, wrong), { code: 'SF_INVALID_ARGUMENT' }, JSON.stringify(wrong))
  }
  const optimizer = await PromptOptimizer.open(space)
  await assert.rejects(optimizer.suggest('rain'), { code: 'SF_INVALID_ARGUMENT', message: /no variants/ })
  await optimizer.start('rain')
  const { token } = await optimizer.suggest('rain')
  for (const value of [NaN, Infinity, -1, 0.5, 2, '1']) {
    await assert.rejects(optimizer.reward(token, value), { code: 'SF_INVALID_ARGUMENT' })
  }
  await assert.rejects(optimizer.reward('forged', 1), { code: 'SF_INVALID_ARGUMENT', message: /token/ })
  await assert.rejects(optimizer.importState('{"schema": 1}'), { code: 'SF_FORMAT' })
  assert.throws(() => new Space({ slots: [], template: '' }), { code: 'SF_INVALID_ARGUMENT', message: /no slots/ })
  assert.throws(() => evaluatePolicy([]), { code: 'SF_INVALID_ARGUMENT' })
  assert.throws(() => new PromptOptimizer(), TypeError)
  assert.deepEqual(await optimizer.log('rain'), [])
})

test('many at once, and states that merge', async () => {
  const [a, b] = [await PromptOptimizer.open(space), await PromptOptimizer.open(space)]
  await a.start('rain')
  await b.importState(await a.exportState())
  const suggestions = await Promise.all(Array.from({ length: 100 }, () => a.suggest('rain')))
  await Promise.all(suggestions.map(({ token }, n) => (n % 2 ? a : b).reward(token, n % 3 ? 0 : 1)))
  const [left, right] = [await a.exportState(), await b.exportState()]
  assert.equal((await a.importState(right)).new, 50)
  assert.equal((await b.importState(left)).new, 50)
  assert.equal(await a.exportState(), await b.exportState())
  assert.equal((await a.importState(right)).new, 0)
})
