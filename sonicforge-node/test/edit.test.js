// Edits of a whole sound.

import assert from 'node:assert/strict'
import test from 'node:test'
import { AudioBuffer, testing } from '../lib/index.js'

const tone = () => testing.signal('sine', { frequencyHz: 997, levelDbfs: -6, seconds: 0.5 })

test('edits give back new buffers', () => {
  const [a, before] = [tone(), tone().samples]
  assert.equal(a.trim(0.1, 0.3).frames, 9_600)
  assert.equal(a.trim(0.1).frames, 19_200)
  assert.equal(a.fadeIn(0.1).samples[0], 0)
  assert.ok(Math.abs(a.fadeOut(0.1).channel(0).at(-1)) < 1e-3)
  assert.equal(a.toMono().channels, 1)
  assert.equal(a.toMono().toStereo().channels, 2)
  const peak = (b) => b.samples.reduce((m, x) => Math.max(m, Math.abs(x)), 0)
  assert.ok(Math.abs(peak(a.normalizePeak(-3)) - 10 ** (-3 / 20)) < 1e-6)
  assert.ok(Math.abs(peak(a.applyGain(-6)) / peak(a) - 10 ** (-6 / 20)) < 1e-6)
  assert.ok(Math.abs(peak(a.mix(a)) / peak(a) - 2) < 1e-6)
  assert.deepEqual(a.samples, before)
})

test('resample', async () => {
  const out = await tone().resample(44_100)
  assert.deepEqual([out.sampleRate, out.frames, out.channels], [44_100, 22_050, 2])
  await assert.rejects(tone().resample(1), { code: 'SF_INVALID_ARGUMENT' })
})

test('zero frames',  () => {
  const none = new AudioBuffer(new Float32Array(0), { sampleRate: 48_000, channels: 2 })
  assert.equal(none.frames, 0)
  assert.equal(none.toMono().frames, 0)
})
