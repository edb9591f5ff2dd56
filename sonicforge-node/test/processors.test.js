// Processors and chains through the facade; what they do to a sound is the core's and the golden vectors' business.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import {
  AudioBuffer, DeEsser, Equalizer, Exciter, Gain, Glue, Limiter, MasteringChain, Multiband, Preset, Widener, testing,
} from '../lib/index.js'
import { folder } from './support.js'

const music = (seconds = 1) => testing.signal('music', { seed: 1, seconds })
const all = { Gain, Equalizer, DeEsser, Multiband, Exciter, Widener, Glue, Limiter }
const settings = {
  Gain: { gainDb: -3 },
  Equalizer: { bands: [{ kind: 'high_shelf', frequencyHz: 8_000, gainDb: 2, q: 0.7 }] },
  DeEsser: { frequencyHz: 6_000 },
  Multiband: { crossoversHz: [200, 2_000], bands: [{ ratio: 2 }, { ratio: 3 }, { ratio: 2 }] },
  Exciter: { evenDb: -20 },
  Widener: { width: 1.5 },
  Glue: { ratio: 2 },
  Limiter: { ceilingDbtp: -6 },
}

for (const [name, Stage] of Object.entries(all)) {
  test(`${name}: parameters come back, glide, and are checked`, () => {
    const stage = new Stage(settings[name])
    for (const [key, value] of Object.entries(settings[name])) {
      if (typeof value === 'number') assert.equal(stage.params[key], value)
      else assert.equal(stage.params[key].length, value.length)
    }
    stage.setParams({})
    stage.setParams(settings[name])
    assert.ok(Number.isInteger(stage.latency) && stage.latency >= 0)
    assert.throws(() => new Stage({ nonsense: 1 }), { name: 'SonicForgeError', code: 'SF_INVALID_ARGUMENT', message: /nonsense/ })
    assert.throws(() => new Stage(3), { name: 'TypeError', message: /params is a number/ })
  })

  test(`${name}: blocks in place equal the whole, whatever their size`, async () => {
    const [stage, sound] = [new Stage(settings[name]), music()]
    const whole = await stage.render(sound)
    assert.deepEqual([whole.frames, whole.channels], [sound.frames, 2])
    for (const size of [64, 65, 8192, 20_000]) {
      stage.prepare({ sampleRate: 48_000, channels: 2, maxFrames: 512 })
      const long = new Float32Array(2 * (sound.frames + stage.latency))
      const padded = AudioBuffer.fromPlanar(long, { sampleRate: 48_000, channels: 2 })
      for (const c of [0, 1]) padded.channel(c).set(sound.channel(c))
      for (let at = 0; at < padded.frames; at += size) {
        const block = [0, 1].map((c) => padded.channel(c).subarray(at, at + size))
        assert.equal(stage.process(block), block)
      }
      for (const c of [0, 1]) assert.deepEqual(padded.channel(c).subarray(stage.latency), whole.channel(c), `blocks of ${size}`)
    }
  })
}

test('messages speak camelCase and name the place', () => {
  assert.throws(() => new Limiter({ ceilingDbtp: 12 }), { code: 'SF_INVALID_ARGUMENT', message: /ceilingDbtp is 12/ })
  assert.throws(() => new Equalizer({ bands: [{ frequencyHz: NaN }] }), { name: 'RangeError', message: /bands\[0\]\.frequencyHz is NaN/ })
  assert.throws(() => new Equalizer({ bands: [{ kind: 'shelf' }] }), { code: 'SF_INVALID_ARGUMENT', message: /low_shelf/ })
  assert.throws(() => new Limiter({ ceilingDb: -1 }), { code: 'SF_INVALID_ARGUMENT', message: /unknown field `ceilingDb`.*ceilingDbtp/s })
})

test('a block that cannot be is refused and left alone', () => {
  const gain = new Gain({ gainDb: 6 })
  const [left, right] = [Float32Array.of(0.1, 0.2), Float32Array.of(0.3, 0.4)]
  assert.throws(() => gain.process([left, right]), /prepare/)
  gain.prepare({ sampleRate: 48_000 })
  assert.throws(() => gain.process([left]), { name: 'RangeError', message: /1 channels; expected 2/ })
  assert.throws(() => gain.process([left, right.subarray(1)]), { name: 'RangeError' })
  assert.throws(() => gain.process([left, left]), { code: 'SF_INVALID_ARGUMENT', message: /shares memory/ })
  assert.throws(() => gain.process([[1], [2]]), { name: 'TypeError', message: /block\[0\] is an Array; expected a Float32Array/ })
  assert.deepEqual([...left, ...right], [...Float32Array.of(0.1, 0.2, 0.3, 0.4)])
  assert.throws(() => gain.prepare({ sampleRate: 48_000, channels: 3 }), { code: 'SF_UNSUPPORTED', message: /toStereo/ })
  assert.throws(() => gain.process([left, right]), /prepare/)
  gain.prepare({ sampleRate: 48_000, channels: 1 })
  gain.process([left])
  gain.process([new Float32Array(0)])
})

test('flush draws out the tail', async () => {
  const [limiter, sound] = [new Limiter(), music()]
  const whole = await limiter.render(sound)
  limiter.prepare({ sampleRate: 48_000 })
  const head = limiter.process([sound.channel(0).slice(), sound.channel(1).slice()])
  const tail = limiter.flush()
  assert.equal(tail[0].length, limiter.latency)
  const all = new Float32Array(sound.frames + limiter.latency)
  all.set(head[1])
  all.set(tail[1], sound.frames)
  assert.deepEqual(all.subarray(limiter.latency), whole.channel(1))
})

test('NaN goes in, numbers come out, and it is counted', () => {
  const limiter = new Limiter().prepare({ sampleRate: 48_000 })
  const block = [Float32Array.of(NaN, 1, Infinity), new Float32Array(3)]
  limiter.process(block)
  assert.ok(block[0].every(Number.isFinite))
  assert.equal(limiter.nonFiniteSamples, 2)
})

test('a chain from processors, objects, a preset and a name', async () => {
  const sound = music()
  const objects = [{ type: 'gain', gainDb: 3 }, { type: 'limiter', ceilingDbtp: -6 }]
  const first = await new MasteringChain([new Gain({ gainDb: 3 }), new Limiter({ ceilingDbtp: -6 })]).render(sound)
  for (const preset of [objects, { modules: objects }, new Preset({ name: 'mine', modules: objects }), [{ type: 'chain', modules: objects }]]) {
    assert.deepEqual((await new MasteringChain(preset).render(sound)).samples, first.samples)
  }
  const named = new MasteringChain(Preset.names().at(-1))
  assert.equal(named.preset.name, Preset.names().at(-1))
  assert.throws(() => new MasteringChain('nonsense'), { code: 'SF_INVALID_ARGUMENT', message: /nonsense/ })
  assert.throws(() => new MasteringChain(), { name: 'TypeError', message: /preset is undefined/ })
  assert.throws(() => new MasteringChain([{ type: 'reverb' }]), { code: 'SF_INVALID_ARGUMENT', message: /reverb/ })
})

test('setModule glides to other parameters of the same type', () => {
  const chain = new MasteringChain([{ type: 'gain', gainDb: 3 }])
  chain.setModule(0, { type: 'gain', gainDb: -3 })
  chain.setModule(0, new Gain({ gainDb: -4 }))
  assert.equal(chain.preset.modules[0].gainDb, -4)
  assert.throws(() => chain.setModule(0, { type: 'glue' }), { code: 'SF_INVALID_ARGUMENT' })
  assert.throws(() => chain.setModule(1, { type: 'gain' }), { code: 'SF_INVALID_ARGUMENT' })
})

test('presets: JSON, TOML, files', async (t) => {
  const path = folder(t)
  for (const name of Preset.names()) {
    const preset = Preset.named(name)
    assert.deepEqual(Preset.fromJson(preset.toJson()), preset)
    assert.deepEqual(Preset.fromToml(preset.toToml()), preset)
    for (const extension of ['json', 'toml']) {
      const file = join(path, `${name}.${extension}`)
      await preset.save(file)
      assert.deepEqual(await Preset.load(file), preset)
    }
  }
  // What another language wrote can be used as it is.
  const core = JSON.parse(Preset.named(Preset.names().at(-1)).toJson())
  assert.equal(new MasteringChain(core).preset.name, core.name)
  writeFileSync(join(path, 'bad.json'), '{"modules": 3}')
  await assert.rejects(Preset.load(join(path, 'bad.json')), { code: 'SF_FORMAT' })
  await assert.rejects(Preset.load(join(path, 'none.json')), { code: 'SF_IO' })
})

test('a render can be aborted', async () => {
  await assert.rejects(new MasteringChain('loud').render(music(20), { signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' })
})
