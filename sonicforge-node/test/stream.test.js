// Files block by block, and their tags.

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { AudioBuffer, Gain, Reader, Tags, Writer, tags, testing } from '../lib/index.js'
import { folder, here } from './support.js'

const fixture = (name) => here(`../../sonicforge-core/tests/fixtures/${name}`)
const music = () => testing.signal('music', { seed: 1, seconds: 3 })

test('read, process, write: a file through a processor in blocks', async (t) => {
  const path = folder(t)
  const [input, output] = [join(path, 'in.wav'), join(path, 'out.wav')]
  await music().write(input, { sampleFormat: 'float32' })
  const reader = await Reader.open(input)
  assert.deepEqual([reader.info.sampleRate, reader.info.channels, reader.info.frames], [48_000, 2, 144_000])
  const writer = await Writer.create(output, { sampleRate: 48_000, channels: 2, sampleFormat: 'float32' })
  const gain = new Gain({ gainDb: -6 }).prepare({ sampleRate: 48_000, channels: 2 })
  for await (const block of reader) await writer.write(gain.process([block.channel(0), block.channel(1)]))
  assert.equal(existsSync(output), false)
  await writer.finish()
  const whole = await new Gain({ gainDb: -6 }).render(music())
  assert.deepEqual((await AudioBuffer.read(output)).samples, whole.samples)
  await assert.rejects(reader.read(), { code: 'SF_INVALID_ARGUMENT', message: /closed/ })
  await assert.rejects(writer.write(music()), { code: 'SF_INVALID_ARGUMENT', message: /closed/ })
})

test('reads may be asked for at once; rewind begins again', async (t) => {
  const path = join(folder(t), 'in.wav')
  await music().write(path, { sampleFormat: 'float32' })
  const reader = await Reader.open(path)
  const parts = await Promise.all([reader.read(100), reader.read(200), reader.read()])
  assert.deepEqual(parts.map((part) => part.frames), [100, 200, 65_536])
  assert.deepEqual(parts[1].channel(1), music().channel(1).subarray(100, 300))
  await reader.rewind()
  assert.deepEqual((await reader.read(100)).samples, parts[0].samples)
  while ((await reader.read()).frames > 0);
  await reader.close()
})

test('a writer copies at once, and leaves nothing behind when it is discarded', async (t) => {
  const path = folder(t)
  const writer = await Writer.create(join(path, 'out.wav'), { sampleRate: 48_000, channels: 1, sampleFormat: 'float32' })
  const block = [Float32Array.of(0.25, 0.5)]
  const promise = writer.write(block)
  block[0].fill(0)
  await promise
  await writer.finish()
  assert.deepEqual([...(await AudioBuffer.read(join(path, 'out.wav'))).samples], [0.25, 0.5])
  const other = await Writer.create(join(path, 'other.flac'), { sampleRate: 48_000, channels: 2 })
  await other.write(music())
  await other.discard()
  assert.deepEqual(readdirSync(path), ['out.wav'])
  await assert.rejects(other.finish(), { code: 'SF_INVALID_ARGUMENT' })
})

test('argument faults', async (t) => {
  const path = folder(t)
  assert.throws(() => new Reader(), { name: 'TypeError', message: /Reader\.open/ })
  assert.throws(() => new Writer(), { name: 'TypeError', message: /Writer\.create/ })
  await assert.rejects(Reader.open(join(path, 'none.wav')), { code: 'SF_IO' })
  await assert.rejects(Writer.create(join(path, 'a.wav'), { sampleRate: 48_000 }), { name: 'TypeError', message: /channels is undefined/ })
  const writer = await Writer.create(join(path, 'a.wav'), { sampleRate: 44_100, channels: 2 })
  await assert.rejects(writer.write(music()), { name: 'RangeError', message: /48000 Hz; this file has 44100 Hz/ })
  await assert.rejects(writer.write([[1], [2]]), { name: 'TypeError' })
  await writer.discard()
  assert.deepEqual(readdirSync(path), [])
})

test('tags and covers are read and travel', async (t) => {
  const of = await tags(fixture('cover.flac'))
  assert.ok(of instanceof Tags)
  assert.equal(typeof of.get('TITLE'), 'string')
  assert.equal(of.get('nothing'), null)
  assert.ok(Buffer.isBuffer(of.pictures[0].data) && of.pictures[0].mimeType.startsWith('image/'))
  const path = join(folder(t), 'out.flac')
  await music().write(path, { tagsFrom: fixture('cover.flac') })
  const again = await tags(path)
  assert.equal(again.get('title'), of.get('title'))
  assert.deepEqual(again.pictures[0].data, of.pictures[0].data)
})
