// Listening through the facade; the numbers themselves are the golden vectors' business.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Analysis, Analyzer, analyze, testing } from '../lib/index.js'

const music = (seconds = 4) => testing.signal('music', { seed: 1, seconds })

test('an analysis has its fields in camelCase', async () => {
  const tone = testing.signal('sine', { frequencyHz: 997, levelDbfs: -23, seconds: 5 })
  const analysis = await analyze(tone)
  assert.ok(analysis instanceof Analysis)
  assert.ok(Math.abs(analysis.integratedLufs + 23) < 0.1)
  assert.ok(Math.abs(analysis.truePeakDbtp + 23) < 0.1)
  assert.equal(analysis.frames, tone.frames)
  assert.equal(analysis.timeline.momentaryLufs.length, analysis.timeline.minimum.length)
  assert.ok(analysis.thirdOctave.every((band) => band.centerHz > 0 && band.levelDb <= 0))
})

test('silence has nothing to measure', async () => {
  const analysis = await analyze(testing.signal('silence', { seconds: 1 }))
  assert.equal(analysis.integratedLufs, null)
  assert.equal(analysis.truePeakDbtp, null)
})

for (const size of [1, 64, 65, 8192]) {
  test(`blocks of ${size} give the same analysis`, async () => {
    const sound = music(size === 1 ? 0.5 : 4)
    const analyzer = new Analyzer({ sampleRate: sound.sampleRate, channels: 2 })
    for (let at = 0; at < sound.frames; at += size) {
      analyzer.push([sound.channel(0).subarray(at, at + size), sound.channel(1).subarray(at, at + size)])
    }
    assert.deepEqual(analyzer.finish(), await analyze(sound))
  })
}

test('an analyzer takes whole buffers, says how it stands, and ends', () => {
  const analyzer = new Analyzer({ sampleRate: 48_000, channels: 2 })
  assert.equal(analyzer.current().integratedLufs, null)
  analyzer.push(music())
  assert.ok(analyzer.current().integratedLufs < 0)
  assert.ok(analyzer.current().frames > 190_000)
  analyzer.finish()
  assert.throws(() => analyzer.push(music()), { code: 'SF_INVALID_ARGUMENT', message: /has finished/ })
  assert.throws(() => analyzer.finish(), { code: 'SF_INVALID_ARGUMENT' })
})

test('JSON goes out and comes back', async () => {
  const analysis = await analyze(music(1))
  const text = analysis.toJson()
  assert.ok('integrated_lufs' in JSON.parse(text))
  assert.deepEqual(Analysis.fromJson(text), analysis)
  assert.deepEqual(new Analysis(structuredClone(analysis)), analysis)
  assert.throws(() => Analysis.fromJson('{}'), { code: 'SF_FORMAT' })
})

test('a picture', async () => {
  assert.match((await analyze(music())).svg(), /^<svg[\s\S]*<\/svg>\s*$/)
})

test('progress and abort', async () => {
  const steps = []
  await analyze(music(30), { onProgress: (step) => steps.push(step) })
  assert.equal(steps.at(-1).fraction, 1)
  assert.ok(steps.every(({ stage }) => stage === 'analyze'))
  await assert.rejects(analyze(music(30), { signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' })
})

test('argument faults', async () => {
  await assert.rejects(analyze(new Float32Array(9)), { name: 'TypeError', message: /audio is a Float32Array; expected an AudioBuffer: pass new AudioBuffer/ })
  await assert.rejects(analyze(music(1), { onprogress() {} }), { name: 'TypeError', message: /unknown option "onprogress"/ })
  const analyzer = new Analyzer({ sampleRate: 48_000, channels: 2 })
  assert.throws(() => analyzer.push([new Float32Array(4)]), { name: 'RangeError', message: /1 channels; expected 2/ })
  assert.throws(() => analyzer.push([new Float32Array(4), new Float32Array(5)]), { name: 'RangeError' })
  assert.throws(() => new Analyzer({ sampleRate: 1, channels: 2 }), { code: 'SF_INVALID_ARGUMENT' })
})
