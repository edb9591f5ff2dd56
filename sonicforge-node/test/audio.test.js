// Buffers, edits, and files in and out.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import test from 'node:test'
import { AudioBuffer, SonicForgeError, info, testing } from '../lib/index.js'
import { folder } from './support.js'

const stereo = () => AudioBuffer.fromChannels([Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)], { sampleRate: 48_000 })
const tone = (options = {}) => testing.signal('sine', { frequencyHz: 997, levelDbfs: -6, seconds: 0.5, ...options })

test('three layouts, one buffer', () => {
  const interleaved = AudioBuffer.fromInterleaved(Float32Array.of(1, 4, 2, 5, 3, 6), { sampleRate: 48_000, channels: 2 })
  const planar = AudioBuffer.fromPlanar(Float32Array.of(1, 2, 3, 4, 5, 6), { sampleRate: 48_000, channels: 2 })
  for (const buffer of [stereo(), interleaved, planar]) {
    assert.deepEqual([...buffer.samples], [1, 2, 3, 4, 5, 6])
    assert.deepEqual([...buffer.channel(1)], [4, 5, 6])
    assert.deepEqual([...buffer.interleaved()], [1, 4, 2, 5, 3, 6])
    assert.deepEqual([buffer.sampleRate, buffer.channels, buffer.frames, buffer.seconds], [48_000, 2, 3, 3 / 48_000])
  }
  assert.equal(new AudioBuffer(new Float32Array(5), { sampleRate: 8_000 }).channels, 1)
})

test('a channel is a view, a copy is not, and planar samples are not copied', () => {
  const samples = Float32Array.of(1, 2, 3, 4)
  const buffer = AudioBuffer.fromPlanar(samples, { sampleRate: 48_000, channels: 2 })
  assert.equal(buffer.samples, samples)
  const copy = buffer.copy()
  buffer.channel(1)[0] = 9
  assert.equal(samples[2], 9)
  assert.equal(copy.samples[2], 3)
})

test('it says what it is', () => {
  assert.equal(inspect(tone()), 'AudioBuffer { stereo, 48000 Hz, 24000 frames, 0.500 s }')
})

const typeErrors = [
  ['a plain array', () => new AudioBuffer([1, 2], { sampleRate: 48_000 }), /samples is an Array; expected a Float32Array: pass Float32Array\.from\(samples\)/],
  ['a Float64Array', () => new AudioBuffer(new Float64Array(2), { sampleRate: 48_000 }), /samples is a Float64Array.*Float32Array\.from/],
  ['a Buffer', () => new AudioBuffer(Buffer.alloc(8), { sampleRate: 48_000 }), /samples is a Buffer.*AudioBuffer\.readBytes/],
  ['a buffer where samples belong', () => new AudioBuffer(tone(), { sampleRate: 48_000 }), /samples is an AudioBuffer.*pass its samples/],
  ['shared memory', () => new AudioBuffer(new Float32Array(new SharedArrayBuffer(8)), { sampleRate: 48_000 }), /SharedArrayBuffer.*samples\.slice\(\)/],
  ['one array instead of channels', () => AudioBuffer.fromChannels(new Float32Array(2), { sampleRate: 48_000 }), /one Float32Array per channel, as in \[left, right\]/],
  ['a list in a channel', () => AudioBuffer.fromChannels([[1, 2]], { sampleRate: 48_000 }), /channels\[0\] is an Array/],
  ['no options', () => new AudioBuffer(new Float32Array(2)), /sampleRate is undefined; expected a number/],
  ['a typo', () => new AudioBuffer(new Float32Array(2), { samplerate: 48_000 }), /unknown option "samplerate"; expected one of sampleRate, channels/],
  ['a rate that is text', () => new AudioBuffer(new Float32Array(2), { sampleRate: '48000' }), /sampleRate is a string \(48000\)/],
  ['a number to mix', () => tone().mix(3), /other is a number \(3\); expected an AudioBuffer/],
]
for (const [name, call, message] of typeErrors) {
  test(`TypeError: ${name}`, () => assert.throws(call, { name: 'TypeError', code: 'SF_INVALID_ARGUMENT', message }))
}

const rangeErrors = [
  ['half a hertz', () => new AudioBuffer(new Float32Array(2), { sampleRate: 48_000.5 }), /sampleRate is 48000\.5; expected a whole number/],
  ['NaN', () => tone().fadeIn(NaN), /seconds is NaN; expected a finite number/],
  ['ragged channels', () => AudioBuffer.fromChannels([new Float32Array(2), new Float32Array(3)], { sampleRate: 48_000 }), /channels\[1\] has 3 frames, but channels\[0\] has 2/],
  ['odd planar samples', () => new AudioBuffer(new Float32Array(3), { sampleRate: 48_000, channels: 2 }), /multiple of 2/],
  ['a channel that is not there', () => tone().channel(2), /index is 2; expected a whole number from 0 to 1/],
]
for (const [name, call, message] of rangeErrors) {
  test(`RangeError: ${name}`, () => assert.throws(call, { name: 'RangeError', code: 'SF_INVALID_ARGUMENT', message }))
}

test('what the core refuses is a SonicForgeError', () => {
  const refused = { name: 'SonicForgeError', code: 'SF_INVALID_ARGUMENT' }
  assert.throws(() => new AudioBuffer(new Float32Array(2), { sampleRate: 7_999 }), { ...refused, message: /7999 Hz; expected 8000 to 384000 Hz/ })
  assert.throws(() => new AudioBuffer(new Float32Array(9), { sampleRate: 48_000, channels: 9 }), { ...refused, message: /9 channels/ })
  assert.throws(() => AudioBuffer.fromChannels([], { sampleRate: 48_000 }), refused)
  assert.throws(() => testing.signal('sing'), refused)
})

test('memory that went to another thread is a TypeError', () => {
  const buffer = tone()
  structuredClone(buffer.samples, { transfer: [buffer.samples.buffer] })
  assert.throws(() => buffer.toMono(), { name: 'TypeError', message: /transferred to another thread/ })
})

for (const [extension, sampleFormat, error] of [['wav', 'float32', 0], ['wav', 'int24', 2.5e-7], ['flac', 'int16', 7e-5], ['flac', 'int24', 2.5e-7]]) {
  test(`${extension} ${sampleFormat}: out and in again`, async (t) => {
    const [path, a] = [join(folder(t), `tone.${extension}`), tone()]
    await a.write(path, { sampleFormat, seed: 1 })
    const b = await AudioBuffer.read(pathToFileURL(path))
    assert.deepEqual([b.sampleRate, b.channels, b.frames], [a.sampleRate, a.channels, a.frames])
    assert.ok(b.samples.every((x, i) => Math.abs(x - a.samples[i]) <= error))
    const about = await info(path)
    assert.deepEqual([about.sampleRate, about.channels, about.frames, about.format], [48_000, 2, 24_000, extension])
    const bytes = await a.writeBytes({ container: extension, sampleFormat, seed: 1 })
    assert.ok(Buffer.isBuffer(bytes))
    assert.deepEqual((await AudioBuffer.readBytes(bytes)).samples, b.samples)
    assert.deepEqual((await AudioBuffer.readBytes(new Uint8Array(bytes).buffer)).samples, b.samples)
  })
}

test('the same seed gives the same file, another seed another', async () => {
  const write = (seed) => tone().writeBytes({ container: 'wav', sampleFormat: 'int16', seed })
  assert.deepEqual(await write(3), await write(3))
  assert.notDeepEqual(await write(3), await write(4))
})

test('files that cannot be: codes, and nothing is left behind', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'noise.wav'), Buffer.alloc(1000, 7))
  await assert.rejects(AudioBuffer.read(join(path, 'none.wav')), (error) => error instanceof SonicForgeError && error.code === 'SF_IO' && error.message.includes('none.wav'))
  await assert.rejects(AudioBuffer.read(join(path, 'noise.wav')), (error) => ['SF_FORMAT', 'SF_UNSUPPORTED'].includes(error.code))
  await assert.rejects(AudioBuffer.readBytes(Buffer.alloc(0)), (error) => ['SF_FORMAT', 'SF_UNSUPPORTED'].includes(error.code))
  await assert.rejects(tone().write(join(path, 'no', 'such', 'folder.wav')), { code: 'SF_IO' })
  await assert.rejects(tone().write(join(path, 'tone.xyz')), (error) => error instanceof SonicForgeError)
  await assert.rejects(tone().write(join(path, 'tone.wav'), { sampleFormat: 'int20' }), { code: 'SF_INVALID_ARGUMENT', message: /int20/ })
  await assert.rejects(tone().write(join(path, 'tone.wav'), { bits: 16 }), { name: 'TypeError', message: /unknown option "bits"/ })
  await assert.rejects(tone().write(''), { name: 'RangeError' })
  await assert.rejects(AudioBuffer.read(3), { name: 'TypeError', message: /path is a number \(3\); expected a path/ })
  await assert.rejects(AudioBuffer.readBytes([1, 2]), { name: 'TypeError', message: /bytes is an Array; expected a Buffer/ })
  assert.deepEqual(readdirSync(path), ['noise.wav'])
})

test('tags travel', async (t) => {
  const path = folder(t)
  const [from, to] = [join(path, 'from.wav'), join(path, 'to.flac')]
  await tone().write(from)
  await tone().write(to, { tagsFrom: from })
  assert.ok(readFileSync(to).length > 0)
  await assert.rejects(tone().write(to, { tagsFrom: join(path, 'none.flac') }), { code: 'SF_IO' })
})

test('asynchronous calls do not change their input, and what is written to it meanwhile does not matter', async () => {
  const a = tone({ seconds: 5 })
  const before = a.samples.slice()
  const promise = a.writeBytes({ container: 'wav', sampleFormat: 'float32' })
  const untouched = a.samples.every((x, i) => x === before[i])
  a.samples.fill(0)
  assert.ok(untouched)
  assert.deepEqual((await AudioBuffer.readBytes(await promise)).samples, before)
})

test('zero frames', async () => {
  const none = new AudioBuffer(new Float32Array(0), { sampleRate: 48_000, channels: 2 })
  assert.equal(none.frames, 0)
  assert.equal((await AudioBuffer.readBytes(await none.writeBytes({ container: 'wav' }))).frames, 0)
})
