// Music from text, with the tiny checkpoints that the core's parity tests are made with; what the numbers are is the golden
// vectors' business.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import test from 'node:test'
import { AudioBuffer, Generator, MusicGen, SonicForgeError, quantize, testing } from '../lib/index.js'
import { camel } from '../lib/names.js'
import { folder, here, sleep } from './support.js'

const fixture = (name) => here(`../../sonicforge-core/tests/fixtures/generate/${name}`)
const mono = await MusicGen.load(fixture('mono'), { quantization: 'f32', threads: 1 })
const melody = await MusicGen.load(fixture('melody'), { threads: 1 })
const stereo = await MusicGen.load(fixture('stereo'), { threads: 2 })

const refused = { name: 'SonicForgeError', code: 'SF_INVALID_ARGUMENT' }

const gather = async (stream) => {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

const joined = (chunks) => {
  const channels = Array.from({ length: chunks[0].channels }, (_, c) => Float32Array.from(chunks.flatMap((chunk) => [...chunk.channel(c)])))
  return AudioBuffer.fromChannels(channels, { sampleRate: chunks[0].sampleRate })
}

test('a loaded model says what it is', () => {
  assert.ok(mono instanceof Generator)
  const { family, licence, sampleRate, channels, codebooks, codebookSize, precision, threads, tokenizer } = mono.info
  assert.deepEqual([family, sampleRate, channels, codebooks, codebookSize, precision, threads, tokenizer], ['musicgen', 32_000, 1, 4, 512, 'f32', 1, true])
  assert.equal(typeof licence, 'string')
  assert.deepEqual([stereo.info.channels, stereo.info.codebooks, stereo.info.precision], [2, 8, 'q8_0'])
  assert.deepEqual([melody.info.family, melody.info.melody], ['musicgen_melody', true])
  assert.throws(() => (mono.info.licence = 'mine'), TypeError)
  assert.match(inspect(stereo), /^MusicGen \{ musicgen, stereo, 32000 Hz, q8_0, cpu .*, weights: .* \}$/)
})

test('the default model is part of the package', async () => {
  const model = await MusicGen.load()
  assert.deepEqual([model.info.sampleRate, model.info.channels, model.info.licence], [16_000, 1, 'MIT OR Apache-2.0'])
  const [first, again, other] = await Promise.all([1, 1, 2].map((seed) => model.generate('techno, 130 bpm', { seconds: 1, seed })))
  assert.ok(first.seconds === 1 && first.samples.some((x) => Math.abs(x) > 1e-3))
  assert.deepEqual(first.samples, again.samples)
  assert.notDeepEqual(first.samples, other.samples)
  assert.equal((await MusicGen.load(null, { threads: 1 })).info.threads, 1)
})

test('a compact file is smaller', async (t) => {
  const path = join(folder(t), 'm.gguf')
  const sizes = []
  for (const compact of [false, true]) sizes.push((await quantize(fixture('mono'), path, { compact })).bytesAfter)
  assert.ok(sizes[1] < sizes[0])
  await assert.rejects(quantize(fixture('mono'), path, { compact: 1 }), { name: 'TypeError', message: /compact is a number/ })
})

test('a piece is as long as asked, finite and not silent', async () => {
  const audio = await mono.generate('slow warm piano', { seconds: 0.5, seed: 1 })
  assert.ok(audio instanceof AudioBuffer)
  assert.deepEqual([audio.sampleRate, audio.channels, audio.frames], [32_000, 1, 16_000])
  assert.ok(audio.samples.every(Number.isFinite) && audio.samples.some((x) => Math.abs(x) > 1e-3))
  const wide = await stereo.generate('fast drums', { seconds: 0.2 })
  assert.equal(wide.channels, 2)
  assert.notDeepEqual(wide.channel(0), wide.channel(1))
})

test('the same seed gives the same audio, alone and in a batch, with any number of threads', async () => {
  const request = { prompt: 'slow warm piano', seconds: 0.4, seed: 7, temperature: 1.2, topK: 100, topP: 0.95, guidanceScale: 2 }
  const { prompt, ...options } = request
  const alone = await mono.generate(prompt, options)
  const requests = ['fast drums', request, { seconds: 0.1, seed: 7 }, { ...request, seed: 8 }, { ...request, prompt: 'fast drums and long strings' }]
  const batch = await mono.generateBatch(requests.map((r) => (typeof r === 'string' ? { prompt: r, seconds: 0.3 } : r)))
  assert.deepEqual(batch.map((audio) => audio.frames), [9_600, 12_800, 3_200, 12_800, 12_800])
  assert.deepEqual(batch[1].samples, alone.samples)
  assert.notDeepEqual(batch[3].samples, alone.samples)
  const threaded = await MusicGen.load(fixture('mono'), { quantization: 'f32', threads: 3 })
  assert.deepEqual((await threaded.generate(prompt, options)).samples, alone.samples)
})

test('a string in a batch is a request for ten seconds of it', async () => {
  const [audio] = await mono.generateBatch(['fast drums'])
  assert.equal(audio.seconds, 10)
})

test('seeds have 64 bits', async () => {
  const make = async (seed) => (await mono.generate('piano', { seconds: 0.1, seed })).samples
  assert.deepEqual(await make(5), await make(5n))
  const [a, b] = [await make(2n ** 64n - 1n), await make(2n ** 64n - 2n)]
  assert.notDeepEqual(a, b)
  for (const seed of [-1, 1.5, 2 ** 53, NaN, -1n, 2n ** 64n]) {
    await assert.rejects(mono.generate('piano', { seed }), { name: 'RangeError', code: 'SF_INVALID_ARGUMENT', message: /^seed is / })
  }
  await assert.rejects(mono.generate('piano', { seed: '1' }), { name: 'TypeError' })
})

for (const [name, model] of Object.entries({ mono, stereo, melody })) {
  test(`${name}: a stream equals the whole, to the bit`, async () => {
    const options = { seconds: 1, seed: 3 }
    const chunks = await gather(model.stream('slow warm piano', options))
    assert.ok(chunks.length > 3 && chunks.every((chunk) => chunk.frames > 0), `${chunks.length} chunks`)
    assert.deepEqual(joined(chunks).samples, (await model.generate('slow warm piano', options)).samples)
  })
}

test('a song longer than the window goes on', async () => {
  const seconds = mono.info.windowSeconds * 1.5
  const steps = []
  const audio = await mono.generate('slow warm piano', { seconds, onProgress: ({ fraction }) => steps.push(fraction) })
  assert.ok(Math.abs(audio.seconds - seconds) < 0.03)
  assert.deepEqual(steps, [...steps].sort((a, b) => a - b))
  const tail = audio.trim(mono.info.windowSeconds)
  assert.ok(tail.samples.some((x) => Math.abs(x) > 1e-3))
})

test('continuation, by sound and by codes, with and without what came before', async () => {
  const begin = await mono.generate('slow warm piano', { seconds: 0.4, seed: 1 })
  const options = { seconds: 0.2, seed: 2 }
  const whole = await mono.generate('slow warm piano', { ...options, continueFrom: begin })
  assert.equal(whole.frames, begin.frames + 6_400)
  const codes = await mono.encodeAudio(begin)
  assert.deepEqual((await mono.generate('slow warm piano', { ...options, continueCodes: codes })).samples, whole.samples)
  const rest = await mono.generate('slow warm piano', { ...options, continueFrom: begin, keepPrompt: false })
  assert.deepEqual(rest.samples, whole.channel(0).subarray(begin.frames))
  const chunks = await gather(mono.stream('slow warm piano', { ...options, continueFrom: begin, keepPrompt: false }))
  assert.deepEqual(joined(chunks).samples, rest.samples)
})

test('a stream holds what it was given: the caller may write to its memory', async () => {
  const begin = await mono.generate('slow warm piano', { seconds: 0.2, seed: 1 })
  const options = { seconds: 0.2, seed: 2 }
  const whole = await mono.generate('piano', { ...options, continueFrom: begin })
  const stream = mono.stream('piano', { ...options, continueFrom: begin })
  begin.samples.fill(0)
  assert.deepEqual(joined(await gather(stream)).samples, whole.samples)
})

test('a melody is followed', async () => {
  const tune = testing.signal('music', { seed: 1, seconds: 1, sampleRate: 32_000, channels: 1 })
  const options = { seconds: 0.3, seed: 1 }
  const [plain, led] = [await melody.generate('piano', options), await melody.generate('piano', { ...options, melody: tune })]
  assert.notDeepEqual(plain.samples, led.samples)
  const batch = await melody.generateBatch([{ prompt: 'a much longer prompt, with brushes', ...options }, { prompt: 'piano', ...options, melody: tune }])
  assert.deepEqual(batch[1].samples, led.samples)
  await assert.rejects(mono.generate('piano', { melody: tune }), { ...refused, message: /melody/ })
  await assert.rejects(melody.generate('piano', { melody: await tune.resample(44_100) }), { ...refused, message: /44100/ })
})

test('the lower doors: text, ids, codes, audio', async () => {
  const ids = mono.tokenize('slow warm piano and soft strings')
  assert.deepEqual(ids, Uint32Array.of(13, 15, 24, 6, 16, 30, 1))
  const options = { seconds: 0.3, seed: 4 }
  const codes = await mono.generateCodes(undefined, { ...options, tokenIds: ids })
  assert.equal(codes.length, 4)
  assert.ok(codes.every((book) => book instanceof Uint32Array && book.length === 15 && book.every((code) => code < 512)))
  const audio = await mono.generate('slow warm piano and soft strings', options)
  assert.deepEqual((await mono.decodeCodes(codes)).samples, audio.samples)
  assert.deepEqual((await mono.decodeCodes(codes.map((book) => [...book]))).samples, audio.samples)
  const again = await mono.encodeAudio(audio)
  assert.deepEqual(again.map((book) => book.length), [15, 15, 15, 15])
  const greedy = { ...options, temperature: 0 }
  assert.deepEqual(await mono.generateCodes('piano', greedy), await mono.generateCodes('piano', { ...greedy, seed: 99 }))
})

const faults = [
  ['an empty prompt', ' ', {}, refused, /the prompt is empty/],
  ['no time', 'piano', { seconds: 0 }, refused, /seconds is 0/],
  ['negative time', 'piano', { seconds: -1 }, refused, /seconds is -1/],
  ['NaN', 'piano', { seconds: NaN }, { name: 'RangeError', code: 'SF_INVALID_ARGUMENT' }, /seconds is NaN/],
  ['thirty years', 'piano', { seconds: 1e9 }, refused, /seconds is 1000000000/],
  ['ten thousand words', 'piano '.repeat(10_000), {}, refused, /prompt/],
  ['topK beyond the vocabulary', 'piano', { topK: 513 }, refused, /topK is 513.*512/],
  ['topP above 1', 'piano', { topP: 1.5 }, refused, /topP is 1\.5/],
  ['a temperature below 0', 'piano', { temperature: -1 }, refused, /temperature/],
  ['guidance below 1', 'piano', { guidanceScale: 0 }, refused, /guidanceScale/],
  ['both a prompt and ids', 'piano', { tokenIds: [1] }, refused, /tokenIds/],
  ['ids beyond the vocabulary', undefined, { tokenIds: [99_999_999] }, refused, /99999999/],
  ['half an id', undefined, { tokenIds: [0.5] }, { name: 'RangeError', code: 'SF_INVALID_ARGUMENT' }, /tokenIds\[0\] is 0\.5/],
  ['the wrong rate', 'piano', { continueFrom: testing.signal('sine', { frequencyHz: 440, levelDbfs: -6, channels: 1 }) }, refused, /continueFrom.*48000/],
  ['too few codebooks', 'piano', { continueCodes: [[1]] }, refused, /continueCodes/],
  ['codes beyond the codebook', 'piano', { continueCodes: [[512], [0], [0], [0]] }, refused, /512/],
  ['a prompt that is a number', 3, {}, { name: 'TypeError', code: 'SF_INVALID_ARGUMENT' }, /prompt is a number \(3\); expected a string/],
  ['options in place of the prompt', { seconds: 3 }, undefined, { name: 'TypeError' }, /prompt is an object/],
  ['a typo', 'piano', { second: 3 }, { name: 'TypeError' }, /unknown option "second"; expected one of seconds,/],
  ['text for a number', 'piano', { temperature: '1' }, { name: 'TypeError' }, /temperature is a string \(1\)/],
  ['text for a flag', 'piano', { keepPrompt: 'no' }, { name: 'TypeError' }, /keepPrompt is a string/],
  ['samples for a sound', 'piano', { continueFrom: new Float32Array(9) }, { name: 'TypeError' }, /continueFrom is a Float32Array; expected an AudioBuffer/],
]
for (const [name, prompt, options, kind, message] of faults) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(mono.generate(prompt, options), { ...kind, message })
    await assert.rejects(async () => gather(mono.stream(prompt, options)), { ...kind, message })
  })
}

test('refused: batches', async () => {
  await assert.rejects(mono.generateBatch([]), { ...refused, message: /a batch of 0 requests/ })
  await assert.rejects(mono.generateBatch('piano'), { name: 'TypeError', message: /requests is a string/ })
  await assert.rejects(mono.generateBatch(['piano', ' ']), { ...refused, message: /request 1: the prompt is empty/ })
  await assert.rejects(mono.generateBatch(Array(65).fill('piano')), { ...refused, message: /65/ })
  await assert.rejects(mono.generateBatch([{ prompt: 'piano', signal: null }]), { name: 'TypeError', message: /unknown option "signal"/ })
  await assert.rejects(mono.decodeCodes([[1], [2]]), refused)
  await assert.rejects(mono.decodeCodes('codes'), { name: 'TypeError', message: /codes is a string/ })
  await assert.rejects(mono.encodeAudio(new Float32Array(3)), { name: 'TypeError', message: /audio is a Float32Array/ })
})

test('refused: what cannot be loaded', async (t) => {
  assert.throws(() => new MusicGen(), { name: 'TypeError', message: /MusicGen\.load/ })
  assert.throws(() => new Generator(), { name: 'TypeError' })
  const none = join(folder(t), 'nowhere')
  await assert.rejects(MusicGen.load(none), (error) => error instanceof SonicForgeError && error.code === 'SF_IO' && error.message.includes('nowhere'))
  await assert.rejects(MusicGen.load(folder(t)), (error) => error instanceof SonicForgeError && error.message.includes('config.json'))
  await assert.rejects(MusicGen.load(fixture('mono'), { device: 'tpu' }), { ...refused, message: /"tpu".*cpu, cuda/ })
  await assert.rejects(MusicGen.load(fixture('mono'), { device: 'cuda' }), { code: 'SF_UNSUPPORTED', message: /cuda/ })
  await assert.rejects(MusicGen.load(fixture('mono'), { quantization: 'q4_0' }), { ...refused, message: /"q4_0"/ })
  await assert.rejects(MusicGen.load(fixture('mono'), { threads: 1_000 }), { ...refused, message: /threads is 1000/ })
  await assert.rejects(MusicGen.load(fixture('mono'), { threads: 1.5 }), { name: 'RangeError' })
  await assert.rejects(MusicGen.load(3), { name: 'TypeError', message: /source is a number/ })
  await assert.rejects(MusicGen.load(fixture('mono'), { signal: AbortSignal.abort() }), { name: 'AbortError' })
})

test('a folder becomes one GGUF file, which sounds as the folder does', async (t) => {
  const place = folder(t)
  const path = join(place, 'mono.gguf')
  const fractions = []
  const report = await quantize(fixture('mono'), path, { onProgress: ({ fraction }) => fractions.push(fraction) })
  assert.equal(report.precision, 'q8_0')
  assert.ok(report.bytesAfter < report.bytesBefore && report.weightsQuantized > 0 && report.relativeError < 0.02)
  assert.ok(report.fallbacks.every(([name, precision]) => name.includes('.') && precision === 'f16'))
  assert.deepEqual(fractions, [...fractions].sort((a, b) => a - b))
  assert.equal(fractions.at(-1), 1)
  const model = await MusicGen.load(path)
  assert.deepEqual([model.info.precision, model.info.tokenizer, model.info.licence], ['q8_0', true, report.licence])
  assert.equal((await model.generate('piano', { seconds: 0.1 })).frames, 3_200)
  await assert.rejects(quantize(fixture('mono'), join(place, 'never.gguf'), { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await assert.rejects(quantize(join(place, 'nowhere'), join(place, 'never.gguf')), { code: 'SF_IO' })
  await assert.rejects(quantize(fixture('mono'), join(place, 'never.gguf'), { quantization: 'q4_0' }), { ...refused, message: /"q4_0"/ })
  await assert.rejects(quantize(fixture('mono'), 3), { name: 'TypeError' })
  assert.deepEqual(readdirSync(place), ['mono.gguf'])
})

test('progress never falls and ends at 1, for one, for many and for a stream', async () => {
  const calls = [
    (call) => mono.generate('piano', { seconds: 3, ...call }),
    (call) => mono.generateBatch(Array(3).fill({ prompt: 'piano', seconds: 2 }), call),
    (call) => gather(mono.stream('piano', { seconds: 2, ...call })),
    (call) => mono.generateCodes('piano', { seconds: 2, ...call }),
    (call) => mono.decodeCodes(Array(4).fill(Array(100).fill(7)), call),
    (call) => MusicGen.load(fixture('stereo'), call),
  ]
  for (const call of calls) {
    const steps = []
    await call({ onProgress: (step) => steps.push(step) })
    const fractions = steps.map(({ fraction }) => fraction)
    assert.deepEqual(fractions, [...fractions].sort((a, b) => a - b))
    assert.equal(fractions.at(-1), 1)
    assert.ok(steps.every(({ stage }) => ['load', 'prompt', 'generate', 'decode'].includes(stage)))
  }
})

test('what onProgress throws stops the call', async () => {
  const mine = new Error('mine')
  const onProgress = () => {
    throw mine
  }
  await assert.rejects(mono.generate('piano', { seconds: 60, onProgress }), mine)
  await assert.rejects(gather(mono.stream('piano', { seconds: 60, onProgress })), mine)
})

test('an abort before the call starts nothing', async () => {
  const signal = AbortSignal.abort(new Error('mine'))
  await assert.rejects(mono.generate('piano', { signal }), { message: 'mine' })
  await assert.rejects(mono.generateBatch(['piano'], { signal }), { message: 'mine' })
  await assert.rejects(mono.generateCodes('piano', { signal }), { message: 'mine' })
  await assert.rejects(gather(mono.stream('piano', { signal })), { message: 'mine' })
})

test('an abort during the call is prompt, and the work stops', async () => {
  const controller = new AbortController()
  const promise = mono.generate('piano', { seconds: 3_600, signal: controller.signal })
  await sleep(60)
  const begin = performance.now()
  controller.abort()
  await assert.rejects(promise, { name: 'AbortError' })
  assert.ok(performance.now() - begin < 100, `${performance.now() - begin} ms`)
  // More calls than libuv has threads: they would wait for an hour of music.
  const calls = Array.from({ length: 6 }, () => mono.generate('piano', { seconds: 3_600, signal: AbortSignal.timeout(100) }))
  for (const { reason } of await Promise.allSettled(calls)) assert.equal(reason.name, 'TimeoutError')
  assert.equal((await mono.generate('piano', { seconds: 0.1 })).frames, 3_200)
})

test('an abort during a stream', async () => {
  const controller = new AbortController()
  let chunks = 0
  await assert.rejects(async () => {
    for await (const chunk of mono.stream('piano', { seconds: 3_600, signal: controller.signal })) {
      chunks += chunk.frames > 0
      if (chunks === 3) controller.abort(new Error('enough'))
    }
  }, { message: 'enough' })
  assert.equal(chunks, 3)
})

test('a loop that is left ends the stream', async () => {
  const stream = mono.stream('piano', { seconds: 3_600 })
  for await (const chunk of stream) {
    assert.ok(chunk.frames > 0)
    break
  }
  assert.deepEqual(await stream.next(), { value: undefined, done: true })
  const early = mono.stream('piano')
  assert.deepEqual(await early.return(), { value: undefined, done: true })
})

test('the event loop stays free', async () => {
  let ticks = 0
  const timer = setInterval(() => (ticks += 1), 5)
  const begin = performance.now()
  await mono.generate('piano', { seconds: 30 })
  const expected = (performance.now() - begin) / 5
  clearInterval(timer)
  assert.ok(ticks > expected / 5, `${ticks} ticks in ${(expected * 5).toFixed(0)} ms`)
})

// A generator of the host's own.

const tone = (request) => testing.signal('sine', { frequencyHz: 440, levelDbfs: -12, seconds: request.seconds, sampleRate: 16_000, channels: 1 })

test('a function is a generator', async () => {
  const seen = []
  const mine = Generator.fromFunction(async (request, { signal, onProgress }) => {
    seen.push(request)
    assert.equal(signal, undefined)
    onProgress({ fraction: 0.5 })
    return tone(request)
  })
  assert.ok(mine instanceof Generator && !(mine instanceof MusicGen))
  const steps = []
  const begin = tone({ seconds: 1 })
  const audio = await mine.generate('piano', { seconds: 2, seed: 2n ** 63n, continueFrom: begin, onProgress: (step) => steps.push(step) })
  assert.equal(audio.seconds, 2)
  const { seconds, seed, prompt, temperature, keepPrompt, tokenIds, continueFrom, melody: tune } = seen[0]
  assert.deepEqual([seconds, seed, prompt, temperature, keepPrompt, tokenIds, tune], [2, 2n ** 63n, 'piano', null, true, null, null])
  assert.equal(continueFrom, begin)
  assert.deepEqual(steps, [0, 0.5, 1].map((fraction) => ({ stage: 'generate', fraction })))
  const batch = await mine.generateBatch([{ prompt: 'a', seconds: 1 }, 'b'], { onProgress: (step) => steps.push(step) })
  assert.deepEqual(batch.map((made) => made.seconds), [1, 10])
  assert.deepEqual(steps.slice(3).map(({ fraction }) => fraction), [0, 0.25, 0.5, 0.5, 0.75, 1])
  assert.deepEqual(joined(await gather(mine.stream('piano', { seconds: 1 }))).samples, tone({ seconds: 1 }).samples)
})

test('a function may return samples, and need not be asynchronous', async () => {
  const mine = Generator.fromFunction(() => ({ samples: Float32Array.of(0.25, 0.5), sampleRate: 8_000, channels: 2 }))
  const audio = await mine.generate()
  assert.ok(audio instanceof AudioBuffer)
  assert.deepEqual([audio.channels, audio.frames, audio.sampleRate], [2, 1, 8_000])
})

test('a function is only called with what can be made', async () => {
  let calls = 0
  const mine = Generator.fromFunction((request) => {
    calls += 1
    return tone(request)
  })
  for (const [prompt, options] of [[' ', {}], ['piano', { seconds: 0 }], ['piano', { seconds: 1e9 }], ['piano', { topP: 2 }], ['piano', { tokenIds: [1] }]]) {
    await assert.rejects(mine.generate(prompt, options), refused)
  }
  await assert.rejects(mine.generateBatch(['piano', ' ']), { ...refused, message: /request 1: the prompt is empty/ })
  await assert.rejects(mine.generate('piano', { seconds: NaN }), { name: 'RangeError' })
  await assert.rejects(mine.generateBatch([]), refused)
  await assert.rejects(mine.generate('piano', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  assert.equal(calls, 0)
  assert.throws(() => Generator.fromFunction('piano'), { name: 'TypeError', message: /make is a string/ })
})

test('the ranges in the table of docs/generate.md are those of the code', async () => {
  const page = readFileSync(here('../../docs/generate.md'), 'utf8')
  const mine = Generator.fromFunction(() => ({ samples: new Float32Array(1), sampleRate: 8_000 }))
  const takes = (setting, value) => mine.generate('piano', camel({ [setting]: value }))
  const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]* \| (above )?([\d.]+), ?(?:[\d.]+ )?to ([\d.]+) \|/gm), ...page.matchAll(/^\| `(\w+)` \| [^|]* \| (above )?([\d.]+) to ([\d.]+) \|/gm)]
  assert.deepEqual(rows.map((row) => row[1]).sort(), ['guidance_scale', 'seconds', 'temperature', 'top_p'])
  for (const [, setting, above, low, high] of rows) {
    await takes(setting, Number(high))
    await assert.rejects(takes(setting, Number(high) + 0.01), refused)
    await assert.rejects(takes(setting, Number(low) - 0.01), refused)
    if (above) await assert.rejects(takes(setting, Number(low)), refused)
    else await takes(setting, Number(low))
  }
})

test('what a function returns is looked at, and what it throws comes out unchanged', async () => {
  const returning = (value) => Generator.fromFunction(() => value).generate('piano')
  const format = { sampleRate: 8_000 }
  await assert.rejects(returning({ samples: new Float32Array(0), ...format }), { name: 'SonicForgeError', code: 'SF_MODEL', message: /no audio/ })
  await assert.rejects(returning({ samples: Float32Array.of(0, NaN), ...format }), { code: 'SF_MODEL', message: /NaN at frame 1 of channel 0/ })
  await assert.rejects(returning(undefined), { code: 'SF_MODEL', message: /returned undefined; expected an AudioBuffer/ })
  const mine = new TypeError('mine')
  const thrown = await Generator.fromFunction(() => Promise.reject(mine)).generate('piano').catch((error) => error)
  assert.equal(thrown, mine)
  const sync = await Generator.fromFunction(() => {
    throw mine
  }).generate('piano').catch((error) => error)
  assert.equal(sync, mine)
})

test('a function hears the abort, and the caller does not wait for it', async () => {
  const controller = new AbortController()
  let heard = false
  const mine = Generator.fromFunction((_, { signal }) => {
    signal.addEventListener('abort', () => (heard = true))
    return new Promise(() => {})
  })
  setTimeout(() => controller.abort(new Error('enough')), 20)
  await assert.rejects(mine.generate('piano', { signal: controller.signal }), { message: 'enough' })
  assert.ok(heard)
})
