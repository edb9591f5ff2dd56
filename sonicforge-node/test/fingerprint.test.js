// Fingerprints: whole, streamed, as text, and what AcoustID is asked.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Chromaprint, Fingerprint, Fingerprinter, acoustidLookup, acoustidSubmit, fingerprint, testing } from '../lib/index.js'

const audio = testing.signal('music', { seed: 3, sampleRate: 44_100, channels: 2, seconds: 10 })

test('streaming equals offline', async () => {
  const whole = await fingerprint(audio)
  for (const size of [1_000, 44_100, 300_000]) {
    const streamed = new Fingerprinter({ sampleRate: 44_100, channels: 2 })
    for (let at = 0; at < audio.frames; at += size) {
      streamed.push([0, 1].map((c) => audio.channel(c).subarray(at, at + size)))
    }
    assert.equal(streamed.finish().toJson(), whole.toJson())
    assert.throws(() => streamed.push(audio), { code: 'SF_INVALID_ARGUMENT', message: /finished/ })
  }
})

test('words and text', async () => {
  const { chromaprint } = await fingerprint(audio)
  assert.equal(chromaprint.words.length, 59)
  assert.equal(chromaprint.preset, 'test2')
  assert.equal(Chromaprint.decode(chromaprint.encode()).encode(), chromaprint.encode())
  assert.deepEqual(new Chromaprint(chromaprint.words).words, chromaprint.words)
  assert.equal(chromaprint.first(5).words.length, 19)
  assert.equal(new Chromaprint(new Uint32Array(0)).encode(), 'AQAAAA')
  assert.throws(() => new Chromaprint([1]), { name: 'TypeError', message: /Uint32Array/ })
  assert.throws(() => new Chromaprint(new Uint32Array(1), { preset: 'test6' }), { code: 'SF_INVALID_ARGUMENT' })
  assert.throws(() => Chromaprint.decode('no!'), { code: 'SF_FORMAT' })
})

test('JSON', async () => {
  const print = await fingerprint(audio, { preset: 'test5', silenceThreshold: 10 })
  const back = Fingerprint.fromJson(print.toJson())
  assert.equal(back.chromaprint.preset, 'test5')
  assert.equal(back.toJson(), print.toJson())
  assert.throws(() => Fingerprint.fromJson(print.toJson().replace('"schema":1', '"schema":9')), { code: 'SF_FORMAT' })
})

test('what is refused', async () => {
  await assert.rejects(fingerprint(audio, { preset: 'test0' }), { name: 'RangeError', message: /test0/ })
  await assert.rejects(fingerprint(audio, { silenceThreshold: 40_000 }), { name: 'RangeError', message: /silenceThreshold is 40000/ })
  await assert.rejects(fingerprint(audio, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  const print = await fingerprint(audio)
  assert.throws(() => acoustidLookup(print, { client: 'key', meta: ['everything'] }), { code: 'SF_INVALID_ARGUMENT', message: /meta has/ })
  assert.throws(() => acoustidLookup({}, { client: 'key' }), { name: 'TypeError', message: /expected a Fingerprint/ })
  assert.throws(() => acoustidSubmit([{ fingerprint: print, colour: 'red' }], { client: 'key', user: 'me' }), /colour/)
})
