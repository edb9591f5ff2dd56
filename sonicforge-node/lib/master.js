// Mastering: plan, render, report.

import { Analysis, Document, analyze } from './analyze.js'
import { AudioBuffer, WRITE, audio, fromRaw, raw, writeOptions } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run, split } from './run.js'

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

const AIM = ['target', 'reference', 'match']
const PARTS = ['loudness', 'spectrum', 'width', 'dynamics']

/** Checks that a target and a reference do not come together; the target as the core reads it. */
function aim({ target, reference, match }) {
  if (reference === undefined) {
    if (match !== undefined) throw typeError('match says what to take from a reference; pass a reference too')
    return targetJson(target === undefined ? 'spotify' : target)
  }
  if (target !== undefined) throw typeError('target and reference exclude each other; give one of them')
  check.options(match, PARTS)
  return undefined
}

/** What is to be known of a sound: an analysis, or a buffer or a file that is measured now. */
async function hear(name, sound, call) {
  if (sound instanceof Analysis) return sound
  if (sound instanceof AudioBuffer) return analyze(sound, call)
  if (typeof sound !== 'string' && !(sound instanceof URL)) {
    throw typeError(`${name} is ${check.kind(sound)}; expected an AudioBuffer, an Analysis or the path of a file`)
  }
  const file = check.path(name, sound)
  return new Analysis(fromCore(await run(call, (job) => binding.analyzeFile(job, file))))
}

/** A plan after a reference. Only the call that follows says its progress. */
async function planAfter(heard, { reference, match = {} }, { signal }) {
  const [own, theirs] = [await hear('audio', heard, { signal }), await hear('reference', reference, { signal })]
  const parts = toCore(match, 'match')
  return new Plan(fromCore(sync(() => binding.planMatch(toCore(own, 'analysis'), toCore(theirs, 'reference'), parts))))
}

/** Plans how to bring a sound, or what was measured of it, to a target or near a reference. */
export async function plan(sound, options) {
  const [how, call] = split(options, AIM)
  const target = aim(how)
  if (!(sound instanceof Analysis)) audio('audio', sound)
  if (target === undefined) return planAfter(sound, how, call)
  if (sound instanceof Analysis) return new Plan(fromCore(sync(() => binding.planFor(toCore(sound, 'analysis'), target))))
  return new Plan(fromCore(await run(call, (job) => binding.plan(job, ...raw(sound), target))))
}

/** Masters a sound: plan, render, report. */
export async function master(sound, options) {
  const buffer = audio('audio', sound)
  const [how, call] = split(options, AIM)
  const target = aim(how)
  if (target === undefined) return (await planAfter(buffer, how, call)).render(buffer, call)
  return mastered(await run(call, (job) => binding.master(job, ...raw(buffer), target)))
}

/** Masters a file into a file; memory stays bounded however long it is. */
export async function masterFile(input, output, options) {
  const [{ target: name, reference, match, ...how }, call] = split(options, [...AIM, ...WRITE])
  const target = aim({ target: name, reference, match })
  const [from, into, write] = [check.path('input', input), check.path('output', output), writeOptions(how)]
  if (target === undefined) return (await planAfter(from, { reference, match }, call)).renderFile(from, into, { ...how, ...call })
  return new Report(fromCore(await run(call, (job) => binding.masterFile(job, from, into, write, target), { settled: true })))
}

/** The original at the loudness of its master, for comparing by ear. */
export async function gainMatched(original, report, options) {
  const [buffer, text] = [audio('original', original), toCore(report, 'report')]
  return fromRaw(await run(check.options(options, CALL), (job) => binding.gainMatched(job, ...raw(buffer), text)))
}
