// Mastering: plan, render, report.

import { Analysis, Document } from './analyze.js'
import { WRITE, audio, fromRaw, raw, writeOptions } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run } from './run.js'

/** Where a master is to arrive: integrated loudness in LUFS and the highest true peak in dBTP. */
export class Target {
  constructor({ name, loudnessLufs, ceilingDbtp }) {
    Object.assign(this, { name, loudnessLufs, ceilingDbtp })
  }

  static named(name) {
    check.text('name', name)
    return new Target(fromCore(sync(() => binding.targetNamed(name))))
  }

  static all() {
    return fromCore(binding.targets()).map((target) => new Target(target))
  }

  static custom(loudnessLufs, ceilingDbtp = -1) {
    check.number('loudnessLufs', loudnessLufs)
    check.number('ceilingDbtp', ceilingDbtp)
    return new Target(fromCore(sync(() => binding.targetCustom(loudnessLufs, ceilingDbtp))))
  }
}

/** A target as the core reads it, from a name, a loudness in LUFS or a Target. */
function targetJson(target) {
  if (typeof target === 'number') target = String(check.number('target', target))
  if (typeof target === 'string') return sync(() => binding.targetParse(target))
  if (typeof target !== 'object' || target === null) {
    throw typeError(`target is ${check.kind(target)}; expected a name such as "spotify", a loudness in LUFS such as -14, or a Target`)
  }
  return toCore(target, 'target')
}

/** What came of a render: before and after, and whether the promise was kept. */
export class Report extends Document {
  static kind = 'report'

  summary() {
    return sync(() => binding.reportSummary(toCore(this, 'report')))
  }

  /** As a picture: one self-contained SVG. */
  svg() {
    return sync(() => binding.reportSvg(toCore(this, 'report')))
  }

  /** As a page: one self-contained HTML. */
  html() {
    return sync(() => binding.reportHtml(toCore(this, 'report')))
  }
}

/** Takes the options of the call from the others. */
function split(options, known) {
  const { signal, onProgress, ...rest } = check.options(options, [...known, ...CALL])
  return [rest, { signal, onProgress }]
}

/** A chain with physical numbers that a person can read and edit. */
export class Plan extends Document {
  static kind = 'plan'

  async render(sound, options) {
    const [buffer, plan] = [audio('audio', sound), toCore(this, 'plan')]
    return mastered(await run(check.options(options, CALL), (job) => binding.planRender(job, plan, ...raw(buffer))))
  }

  async renderFile(input, output, options) {
    const [how, call] = split(options, WRITE)
    const [from, to] = [check.path('input', input), check.path('output', output)]
    const [plan, write] = [toCore(this, 'plan'), writeOptions(how)]
    const text = await run(call, (job) => binding.planRenderFile(job, plan, from, to, write), { settled: true })
    return new Report(fromCore(text))
  }
}

const mastered = (result) => ({ audio: fromRaw(result), report: new Report(fromCore(result.text)) })

/** Plans how to bring a sound, or what was measured of it, to a target. */
export async function plan(sound, options) {
  const [{ target = 'spotify' }, call] = split(options, ['target'])
  const to = targetJson(target)
  if (sound instanceof Analysis) return new Plan(fromCore(sync(() => binding.planFor(toCore(sound, 'analysis'), to))))
  const buffer = audio('audio', sound)
  return new Plan(fromCore(await run(call, (job) => binding.plan(job, ...raw(buffer), to))))
}

/** Masters a sound: plan, render, report. */
export async function master(sound, options) {
  const buffer = audio('audio', sound)
  const [{ target = 'spotify' }, call] = split(options, ['target'])
  const to = targetJson(target)
  return mastered(await run(call, (job) => binding.master(job, ...raw(buffer), to)))
}

/** Masters a file into a file; memory stays bounded however long it is. */
export async function masterFile(input, output, options) {
  const [{ target = 'spotify', ...how }, call] = split(options, ['target', ...WRITE])
  const [from, into] = [check.path('input', input), check.path('output', output)]
  const [write, to] = [writeOptions(how), targetJson(target)]
  return new Report(fromCore(await run(call, (job) => binding.masterFile(job, from, into, write, to), { settled: true })))
}

/** The original at the loudness of its master, for comparing by ear. */
export async function gainMatched(original, report, options) {
  const [buffer, text] = [audio('original', original), toCore(report, 'report')]
  return fromRaw(await run(check.options(options, CALL), (job) => binding.gainMatched(job, ...raw(buffer), text)))
}
