// A whole sound in memory, and files in and out.

import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError, sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run } from './run.js'

/** What is written and how. */
export const WRITE = ['container', 'sampleFormat', 'dither', 'seed', 'tagsFrom']

/** The write options as the core reads them. */
export function writeOptions({ container, sampleFormat, dither, seed, tagsFrom }) {
  if (seed !== undefined) check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  if (tagsFrom !== undefined) tagsFrom = check.path('tagsFrom', tagsFrom)
  return toCore({ container, sampleFormat, dither, seed, tagsFrom }, 'options')
}

/**
 * Planar samples, 1.0 being full scale, and their sample rate. The samples lie in one Float32Array, channel after channel.
 * Every method that edits gives back a new buffer.
 */
export class AudioBuffer {
  #samples
  #sampleRate
  #channels
  #frames

  constructor(samples, options) {
    const { sampleRate, channels = 1 } = check.options(options, ['sampleRate', 'channels'])
    check.floats('samples', samples)
    check.whole('sampleRate', sampleRate)
    check.whole('channels', channels)
    sync(() => binding.checkFormat(sampleRate, channels))
    if (samples.length % channels !== 0) {
      throw rangeError(`${samples.length} samples cannot be shared among ${channels} channels; expected a multiple of ${channels}`)
    }
    this.#samples = samples
    this.#sampleRate = sampleRate
    this.#channels = channels
    this.#frames = samples.length / channels
  }

  static async read(path, options) {
    const file = check.path('path', path)
    return fromRaw(await run(check.options(options, CALL), (job) => binding.read(job, file)))
  }

  static async readBytes(bytes, options) {
    const file = check.bytes('bytes', bytes)
    return fromRaw(await run(check.options(options, CALL), (job) => binding.readBytes(job, file)))
  }

  static fromPlanar(samples, options) {
    return new AudioBuffer(samples, options)
  }

  static fromInterleaved(samples, options) {
    const { sampleRate, channels } = check.options(options, ['sampleRate', 'channels'])
    check.floats('samples', samples)
    check.whole('channels', channels, 1, 8)
    const planar = new Float32Array(samples.length)
    const frames = samples.length / channels
    if (!Number.isInteger(frames)) {
      throw rangeError(`${samples.length} interleaved samples are not whole frames of ${channels} channels`)
    }
    for (let c = 0; c < channels; c += 1) {
      for (let n = 0, at = c; n < frames; n += 1, at += channels) planar[c * frames + n] = samples[at]
    }
    return new AudioBuffer(planar, { sampleRate, channels })
  }

  static fromChannels(channels, options) {
    const { sampleRate } = check.options(options, ['sampleRate'])
    check.channelArrays('channels', channels)
    const frames = channels[0]?.length ?? 0
    const odd = channels.findIndex((channel) => channel.length !== frames)
    if (odd >= 0) {
      throw rangeError(
        `channels[${odd}] has ${channels[odd].length} frames, but channels[0] has ${frames}; all channels must be of one length`,
      )
    }
    const samples = new Float32Array(frames * channels.length)
    channels.forEach((channel, c) => samples.set(channel, c * frames))
    return new AudioBuffer(samples, { sampleRate, channels: channels.length })
  }

  get samples() {
    return this.#samples
  }

  get sampleRate() {
    return this.#sampleRate
  }

  get channels() {
    return this.#channels
  }

  get frames() {
    return this.#frames
  }

  get seconds() {
    return this.frames / this.#sampleRate
  }

  channel(index) {
    check.whole('index', index, 0, this.#channels - 1)
    return this.#samples.subarray(index * this.frames, (index + 1) * this.frames)
  }

  interleaved() {
    const { frames } = this
    const out = new Float32Array(this.#samples.length)
    for (let c = 0; c < this.#channels; c += 1) {
      for (let n = 0, at = c; n < frames; n += 1, at += this.#channels) out[at] = this.#samples[c * frames + n]
    }
    return out
  }

  copy() {
    return fromRaw({ samples: this.#samples.slice(), sampleRate: this.#sampleRate, channels: this.#channels })
  }

  async write(path, options) {
    const file = check.path('path', path)
    const { signal, onProgress, ...how } = check.options(options, [...WRITE, ...CALL])
    const core = writeOptions(how)
    await run({ signal, onProgress }, (job) => binding.write(job, file, ...raw(this), core), { settled: true })
  }

  async writeBytes(options) {
    const { signal, onProgress, ...how } = check.options(options, [...WRITE, ...CALL])
    if (how.container === undefined) throw typeError('container is undefined; expected "wav" or "flac", as there is no file name to tell')
    const core = writeOptions(how)
    return run({ signal, onProgress }, (job) => binding.writeBytes(job, ...raw(this), core))
  }

  async resample(sampleRate, options) {
    check.whole('sampleRate', sampleRate)
    const call = check.options(options, CALL)
    return fromRaw(await run(call, (job) => binding.resample(job, ...raw(this), sampleRate)))
  }

  trim(startS, endS = this.seconds) {
    check.number('startS', startS)
    check.number('endS', endS)
    return edit(() => binding.trim(...raw(this), startS, endS))
  }

  fadeIn(seconds) {
    check.number('seconds', seconds)
    return edit(() => binding.fadeIn(...raw(this), seconds))
  }

  fadeOut(seconds) {
    check.number('seconds', seconds)
    return edit(() => binding.fadeOut(...raw(this), seconds))
  }

  mix(other, gainDb = 0) {
    audio('other', other)
    check.number('gainDb', gainDb)
    return edit(() => binding.mix(...raw(this), ...raw(other), gainDb))
  }

  toMono() {
    return edit(() => binding.toMono(...raw(this)))
  }

  toStereo() {
    return edit(() => binding.toStereo(...raw(this)))
  }

  applyGain(gainDb) {
    check.number('gainDb', gainDb)
    return edit(() => binding.applyGain(...raw(this), gainDb))
  }

  normalizePeak(dbfs = -1) {
    check.number('dbfs', dbfs)
    return edit(() => binding.normalizePeak(...raw(this), dbfs))
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    const channels = { 1: 'mono', 2: 'stereo' }[this.#channels] ?? `${this.#channels} channels`
    return `AudioBuffer { ${channels}, ${this.#sampleRate} Hz, ${this.frames} frames, ${this.seconds.toFixed(3)} s }`
  }
}

/** The three arguments by which a buffer crosses the border. */
export const raw = (buffer) => {
  audio('audio', buffer)
  return [buffer.samples, buffer.sampleRate, buffer.channels]
}

/** A buffer from what the binding hands back. */
export const fromRaw = ({ samples, sampleRate, channels }) => new AudioBuffer(samples, { sampleRate, channels })

const edit = (call) => fromRaw(sync(call))

/** Checks that `value` is a buffer whose memory is still there. */
export function audio(name, value) {
  if (value instanceof AudioBuffer) {
    if (value.samples.length !== value.frames * value.channels) {
      throw typeError(`the samples of ${name} were transferred to another thread; pass a copy()`)
    }
    return value
  }
  if (value instanceof Float32Array) {
    throw typeError(`${name} is a Float32Array; expected an AudioBuffer: pass new AudioBuffer(${name}, { sampleRate, channels })`)
  }
  throw typeError(`${name} is ${check.kind(value)}; expected an AudioBuffer, as from await AudioBuffer.read(path)`)
}

/** What a file says about itself. */
export async function info(path, options) {
  const file = check.path('path', path)
  return fromCore(await run(check.options(options, CALL), (job) => binding.info(job, file)))
}
