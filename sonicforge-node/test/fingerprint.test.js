// Fingerprints: whole, streamed, as text, and what AcoustID is asked.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import {
  AudioBuffer,
  Chromaprint,
  Fingerprint,
  Fingerprinter,
  Index,
  acoustidLookup,
  acoustidSubmit,
  fingerprint,
  fingerprintFile,
  mergeTopk,
  testing,
} from '../lib/index.js'
import { folder, melody } from './support.js'

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

test('an index in a folder survives and is shared', async (t) => {
  const place = join(folder(t), 'index')
  const prints = await Promise.all([0, 1, 2, 3].map((seed) => fingerprint(melody(seed))))
  const excerpt = cut(melody(2), 5, 15)
  const index = await Index.open(place, { lockTimeoutS: 0.1 })
  index.insert('first', await fingerprint(melody(9)), { note: 'of mine' })
  assert.equal(index.get('first').note, 'of mine')
  const inserts = prints.map((print, seed) => ({ id: `piece ${seed}`, fingerprint: print }))
  await index.apply({ inserts, removes: ['first'] })
  await assert.rejects(index.apply({ removes: ['piece 0', 'nobody'] }), { code: 'SF_INVALID_ARGUMENT', message: /nobody/ })
  assert.deepEqual([index.size, index.has('piece 0'), index.has('first'), index.get('first')], [4, true, false, null])
  await assert.rejects(Index.open(place, { lockTimeoutS: 0.1 }), { code: 'SF_STORE', message: /another process writes/ })
  const reader = await Index.open(place, { readOnly: true })
  assert.equal((await reader.query(excerpt))[0].id, 'piece 2')
  index.remove('piece 2')
  assert.deepEqual([reader.size, reader.refresh(), reader.refresh(), reader.size], [4, true, false, 3])
  assert.throws(() => reader.remove('piece 1'), { code: 'SF_STORE', message: /read_only/ })
  reader.close()
  await index.flush()
  await index.check()
  await index.exportFile(`${place}.segment`)
  index.close()
  assert.throws(() => index.size, { code: 'SF_INVALID_ARGUMENT', message: /closed/ })
  const again = await Index.open(place)
  assert.deepEqual(again.ids().sort(), ['piece 0', 'piece 1', 'piece 3'])
  assert.deepEqual([again.stats().tracks, again.stats().recovery.droppedBytes], [3, 0])
  again.close()
  const other = new Index()
  await other.importFile(`${place}.segment`)
  const asked = [3, 1].map((seed) => cut(melody(seed), 5, 15))
  const found = await other.queryBatch(asked)
  assert.deepEqual(found.map(([match]) => match.id), ['piece 3', 'piece 1'])
  assert.equal(mergeTopk([...found, found[0]], 5).length, 2)
  assert.match(await other.matchSvg(asked[0], found[0][0]), /^<svg[^]*<image/)
  await assert.rejects(Index.open(place, { lockTimeoutS: -1 }), { code: 'SF_INVALID_ARGUMENT' })
  await assert.rejects(Index.open(place, { colour: 1 }), TypeError)
})

test('a folder, its duplicates and its files', async (t) => {
  const place = folder(t)
  const piece = melody(4, { seconds: 45 })
  await piece.write(join(place, 'a.flac'))
  await cut(piece, 9, 45).write(join(place, 'cut.flac'))
  await melody(5, { seconds: 45 }).write(join(place, 'b.wav'))
  await writeFile(join(place, 'bad.ogg'), 'no')
  const index = new Index()
  const steps = []
  const report = await index.scan(place, { onProgress: (step) => steps.push(step) })
  assert.deepEqual([report.added, report.failed[0][0], report.unchanged], [['a.flac', 'b.wav', 'cut.flac'], 'bad.ogg', 0])
  assert.equal((await index.scan(place)).unchanged, 3)
  const found = await index.duplicates()
  assert.deepEqual(found.groups.map(({ ids }) => ids), [['a.flac', 'cut.flac']])
  assert.equal(found.groups[0].pairs[0].relation, 'trimmed')
  assert.match(found.toTable(), /trimmed/)
  assert.equal(JSON.parse(found.toJson()).groups[0].pairs[0].first, 'a.flac')
  await assert.rejects(index.duplicates({ signal: AbortSignal.abort() }), { name: 'AbortError' })
  const print = await fingerprintFile(join(place, 'a.flac'), { pcmHash: true })
  assert.equal(print.pcm.length, 32)
  assert.equal(print.landmarks, index.get('a.flac').landmarks)
  assert.equal(Fingerprint.fromJson(print.toJson()).pcm, print.pcm)
})
