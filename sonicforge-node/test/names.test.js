// Keys change their spelling at the border; values never do.

import assert from 'node:assert/strict'
import test from 'node:test'
import { camel, fromCore, snake, toCore } from '../lib/names.js'

test('keys, all the way down', () => {
  const core = { integrated_lufs: -14, true_peak_dbtp: null, bands: [{ low_hz: 20, kind: 'high_shelf' }], dc_offset: [0, 0] }
  const ours = { integratedLufs: -14, truePeakDbtp: null, bands: [{ lowHz: 20, kind: 'high_shelf' }], dcOffset: [0, 0] }
  assert.deepEqual(camel(core), ours)
  assert.deepEqual(snake(ours), core)
  assert.deepEqual(fromCore(JSON.stringify(core)), ours)
  assert.equal(toCore(ours), JSON.stringify(core))
})

test('numbers that JSON does not have are refused by name', () => {
  assert.throws(() => toCore({ bands: [{ gainDb: NaN }] }, 'params'), { name: 'RangeError', message: /params\.bands\[0\]\.gainDb is NaN/ })
  assert.throws(() => toCore({ gainDb: 1n }, 'params'), { name: 'TypeError', message: /params\.gainDb is a bigint/ })
  assert.equal(toCore({ a: undefined, b: 1 }, 'params'), '{"b":1}')
})
