// Mastering through the facade: the promise, the report, files, abort.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { AudioBuffer, Plan, Report, Target, analyze, gainMatched, master, masterFile, plan, testing } from '../lib/index.js'
import { folder, sleep } from './support.js'

const music = (seconds = 8) => testing.signal('music', { seed: 1, seconds })

test('the promise: loudness and ceiling, measured on the output', async () => {
  const sound = music()
  const before = sound.samples.slice()
  const { audio, report } = await master(sound, { target: -14 })
  const heard = await analyze(audio)
  assert.ok(Math.abs(heard.integratedLufs + 14) <= 0.1, `${heard.integratedLufs} LUFS`)
  assert.ok(heard.truePeakDbtp <= -1, `${heard.truePeakDbtp} dBTP`)
  assert.equal(report.loudnessReached && report.ceilingMet, true)
  assert.equal(report.refusal, null)
  assert.deepEqual(report.after, { ...heard })
  assert.deepEqual(sound.samples, before)
  assert.equal(audio.frames, sound.frames)
})

test('a report is plain data with camelCase keys, a summary, and JSON that all languages share', async () => {
  const { report } = await master(music(4), { target: 'apple' })
  assert.ok(report instanceof Report)
  assert.equal(report.target.loudnessLufs, -16)
  assert.match(report.summary(), /integrated/)
  assert.match(report.svg(), /^<svg[\s\S]*<\/svg>\s*$/)
  assert.match(report.html(), /^<!doctype html>[\s\S]*<svg/i)
  assert.equal(Report.fromJson(report.toJson()).toJson(), report.toJson())
  assert.deepEqual(Report.fromJson(report.toJson()).after, report.after)
  assert.ok('loudness_reached' in JSON.parse(report.toJson()))
  assert.equal(new Report(structuredClone({ ...report })).summary(), report.summary())
  assert.throws(() => Report.fromJson('{}'), { code: 'SF_FORMAT' })
})

test('plan and render are what master does, and a plan can be edited', async () => {
  const sound = music(4)
  const made = await plan(sound, { target: 'youtube' })
  assert.ok(made instanceof Plan)
  assert.deepEqual(Plan.fromJson(made.toJson()), made)
  const [{ audio }, direct] = await Promise.all([made.render(sound), master(sound, { target: 'youtube' })])
  assert.deepEqual(audio.samples, direct.audio.samples)
  assert.deepEqual(await plan(await analyze(sound), { target: 'youtube' }), made)
  made.chain.modules.push({ type: 'equalizer', bands: [{ kind: 'high_shelf', frequencyHz: 6_000, gainDb: -6 }] })
  const darker = await made.render(sound)
  assert.ok(darker.report.after.centroidHz < direct.report.after.centroidHz)
  made.maxGainReductionDb = -1
  await assert.rejects(made.render(sound), { code: 'SF_INVALID_ARGUMENT', message: /maxGainReductionDb/ })
  made.maxGainReduction = 12
  await assert.rejects(made.render(sound), { code: 'SF_INVALID_ARGUMENT', message: /unknown field `maxGainReduction`/ })
})

test('the same sound, the same master', async () => {
  const [a, b] = await Promise.all([master(music(4)), master(music(4))])
  assert.deepEqual(a.audio.samples, b.audio.samples)
})

test('files: the same as in memory, with progress', async (t) => {
  const path = folder(t)
  const [input, output] = [join(path, 'in.wav'), join(path, 'out.wav')]
  await music(10).write(input, { sampleFormat: 'float32' })
  const steps = []
  const report = await masterFile(input, output, { target: 'spotify', sampleFormat: 'float32', onProgress: (step) => steps.push(step) })
  assert.ok(report.loudnessReached && report.ceilingMet)
  assert.equal(steps.at(-1).fraction, 1)
  assert.ok(steps.every(({ fraction }, i) => i === 0 || fraction >= steps[i - 1].fraction))
  const { audio } = await master(await AudioBuffer.read(input))
  assert.deepEqual((await AudioBuffer.read(output)).samples, audio.samples)
  const planned = await plan(await AudioBuffer.read(input))
  const again = await planned.renderFile(input, join(path, 'again.flac'), { sampleFormat: 'int24', dither: 'shaped', seed: 3 })
  assert.ok(again.loudnessReached && again.ceilingMet)
})

test('abort: prompt, and no file is left behind', async (t) => {
  const path = folder(t)
  const input = join(path, 'in.wav')
  await music(60).write(input, { sampleFormat: 'float32' })
  const controller = new AbortController()
  const promise = masterFile(input, join(path, 'out.wav'), { signal: controller.signal })
  await sleep(60)
  const begin = performance.now()
  controller.abort()
  await assert.rejects(promise, { name: 'AbortError' })
  const ms = performance.now() - begin
  assert.ok(ms < 150, `${ms} ms`)
  assert.deepEqual(readdirSync(path), ['in.wav'])

  const sound = music(60)
  await assert.rejects(master(sound, { signal: AbortSignal.timeout(40) }), { name: 'TimeoutError' })
  await assert.rejects(master(sound, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  const fault = new Error('enough')
  const onProgress = () => {
    throw fault
  }
  await assert.rejects(master(sound, { onProgress }), (error) => error === fault)
  await assert.rejects(masterFile(input, join(path, 'out.wav'), { onProgress }), (error) => error === fault)
  await sleep(100)
  assert.deepEqual(readdirSync(path), ['in.wav'])
})

test('a reference: buffer, analysis or file, and parts of it', async (t) => {
  const [path, sound] = [folder(t), music(4)]
  const reference = testing.signal('noise', { levelDbfs: -12, seed: 1, seconds: 4 })
  const [input, like] = [join(path, 'in.wav'), join(path, 'like.wav')]
  await Promise.all([sound.write(input, { sampleFormat: 'float32' }), reference.write(like, { sampleFormat: 'float32' })])
  const match = { width: false, dynamics: false }
  const made = await plan(sound, { reference, match })
  assert.deepEqual(await plan(sound, { reference: await analyze(reference), match }), made)
  assert.deepEqual(await plan(await analyze(sound), { reference: like, match }), made)
  const { report, audio } = await master(sound, { reference, match: { spectrum: false } })
  assert.ok(Math.abs(report.after.integratedLufs - (await analyze(reference)).integratedLufs) <= 0.1 || report.refusal)
  await masterFile(input, join(path, 'out.wav'), { reference: like, match: { spectrum: false }, sampleFormat: 'float32' })
  assert.deepEqual((await AudioBuffer.read(join(path, 'out.wav'))).samples, audio.samples)
  await assert.rejects(plan(sound, { reference, target: 'spotify' }), { name: 'TypeError', message: /exclude each other/ })
  await assert.rejects(plan(sound, { match }), { name: 'TypeError', message: /pass a reference too/ })
  await assert.rejects(plan(sound, { reference, match: { tone: true } }), { name: 'TypeError', message: /unknown option "tone"/ })
  await assert.rejects(plan(sound, { reference: 3 }), { name: 'TypeError', message: /reference is a number/ })
})

test('the original at the loudness of its master', async () => {
  const sound = music()
  const { audio, report } = await master(sound, { target: 'club' })
  const [matched, mastered] = await Promise.all([analyze(await gainMatched(sound, report)), analyze(audio)])
  assert.ok(Math.abs(matched.integratedLufs - mastered.integratedLufs) < 0.05)
})

test('targets', async () => {
  assert.equal(Target.named('spotify').loudnessLufs, -14)
  assert.ok(Target.all().length >= 6 && Target.all().every((target) => target instanceof Target))
  assert.deepEqual({ ...Target.custom(-12, -2) }, { name: 'custom', loudnessLufs: -12, ceilingDbtp: -2 })
  const { report } = await master(music(4), { target: Target.custom(-18, -3) })
  assert.ok(report.loudnessReached && report.after.truePeakDbtp <= -3)
  await assert.rejects(master(music(1), { target: 'spotfy' }), { code: 'SF_INVALID_ARGUMENT', message: /spotify/ })
  await assert.rejects(master(music(1), { target: 14 }), { code: 'SF_INVALID_ARGUMENT', message: /loudnessLufs is 14/ })
  await assert.rejects(master(music(1), { target: NaN }), { name: 'RangeError', message: /target is NaN/ })
  await assert.rejects(master(music(1), { target: null }), { name: 'TypeError', message: /target is null; expected a name such as "spotify"/ })
  await assert.rejects(master(music(1), { target: { name: 'x', loudnessLufs: -14 } }), { code: 'SF_INVALID_ARGUMENT', message: /ceiling/ })
  await assert.rejects(master(music(1), { loudness: -14 }), { name: 'TypeError', message: /unknown option "loudness"/ })
})

test('what cannot be mastered says so', async () => {
  await assert.rejects(master(testing.signal('music', { seed: 1, channels: 3 })), { code: 'SF_UNSUPPORTED', message: /toStereo/ })
  const { report } = await master(testing.signal('silence', { seconds: 1 }))
  assert.equal(report.loudnessReached, false)
  assert.equal(typeof report.refusal, 'string')
  const { audio } = await master(new AudioBuffer(new Float32Array(0), { sampleRate: 48_000, channels: 2 }))
  assert.equal(audio.frames, 0)
  const broken = music(4)
  broken.samples[1000] = NaN
  const result = await master(broken)
  assert.ok(result.audio.samples.every(Number.isFinite))
  assert.equal(result.report.nonFiniteSamples, 1)
})
