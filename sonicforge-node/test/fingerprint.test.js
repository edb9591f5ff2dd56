// Fingerprints: whole, streamed, as text, and what AcoustID is asked.

import assert from 'node:assert/strict'
import test from 'node:test'
import { AudioBuffer, Chromaprint, Fingerprint, Fingerprinter, Index, acoustidLookup, acoustidSubmit, fingerprint, testing } from '../lib/index.js'

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

/** Notes at random times and heights; every seed is another piece. */
function melody(seed, { seconds = 30, speed = 1 } = {}) {
  const rate = 22_050
  let state = BigInt(seed * 7_919 + 1)
  const random = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
    return Number(state >> 11n) / 2 ** 53
  }
  const out = new Float32Array(Math.floor((seconds / speed) * rate) + rate)
  for (let at = 0; at < seconds; at += 0.06 + 0.24 * random()) {
    const hz = 180 * 2 ** (Math.floor(random() * 44) / 12)
    const start = Math.floor((at / speed) * rate)
    for (let n = 0; n < rate; n += 1) {
      const t = (n / rate) * speed
      out[start + n] += Math.exp(-4 * t) * 0.2 * Math.sin(2 * Math.PI * hz * t)
    }
  }
  return AudioBuffer.fromChannels([out], { sampleRate: rate })
}

const cut = (sound, from, to) =>
  AudioBuffer.fromChannels([sound.channel(0).slice(from * sound.sampleRate, to * sound.sampleRate)], { sampleRate: sound.sampleRate })

test('an index knows excerpts again', async () => {
  const index = new Index()
  for (let seed = 0; seed < 8; seed += 1) index.insert(`piece ${seed}`, await fingerprint(melody(seed)))
  assert.equal(index.size, 8)
  const third = await fingerprint(melody(3))
  assert.throws(() => index.insert('piece 3', third), { code: 'SF_INVALID_ARGUMENT', message: /piece 3/ })
  const [match] = await index.query(cut(melody(3), 8, 18))
  assert.equal(match.id, 'piece 3')
  assert.ok(Math.abs(match.trackStartS - match.queryStartS - 8) < 0.1)
  const [fast] = await index.query(cut(melody(5, { speed: 1.04 }), 8, 18))
  assert.deepEqual([fast.id, fast.pitchFactor.toFixed(2), fast.tempoFactor.toFixed(2)], ['piece 5', '1.04', '1.04'])
  assert.deepEqual(await index.query(cut(melody(99), 8, 18)), [])
  assert.equal(index.remove('piece 3'), true)
  assert.equal(index.remove('piece 3'), false)
  assert.deepEqual(await index.query(cut(melody(3), 8, 18)), [])
  await assert.rejects(index.query(melody(1), { maxTempoPercent: 50 }), { code: 'SF_INVALID_ARGUMENT' })
  await assert.rejects(index.query(melody(1), { limit: 0 }), { name: 'RangeError' })
})
