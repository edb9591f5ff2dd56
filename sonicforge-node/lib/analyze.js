// Listening: everything that can be measured of one sound, at once or block by block.

import { AudioBuffer, audio, raw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError, sync } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run } from './run.js'

/** A result or a plan: plain fields in camelCase, and the JSON text that Rust, Python and files share. */
export class Document {
  constructor(fields) {
    Object.assign(this, fields)
  }

  /** From JSON text. */
  static fromJson(text) {
    check.text('text', text)
    return new this(fromCore(sync(() => binding.normalize(this.kind, text))))
  }

  /** The JSON text that the other languages read and write: keys in snake_case. */
  toJson() {
    return sync(() => binding.normalize(this.constructor.kind, toCore(this, this.constructor.kind)))
  }
}

/** What was measured of one sound; null where there was nothing to measure. */
export class Analysis extends Document {
  static kind = 'analysis'

  /** As a picture: one self-contained SVG. */
  svg() {
    return sync(() => binding.analysisSvg(toCore(this, 'analysis')))
  }
}

/** Measures a whole sound. */
export async function analyze(sound, options) {
  const buffer = audio('audio', sound)
  return new Analysis(fromCore(await run(check.options(options, CALL), (job) => binding.analyze(job, ...raw(buffer)))))
}

/** Measures block by block; the result equals that of `analyze` whatever the block size. */
export class Analyzer {
  #native
  #channels

  constructor(options) {
    const { sampleRate, channels } = check.options(options, ['sampleRate', 'channels'])
    check.whole('sampleRate', sampleRate)
    check.whole('channels', channels)
    this.#native = sync(() => new binding.Analyzer(sampleRate, channels))
    this.#channels = channels
  }

  push(block) {
    const channels = block instanceof AudioBuffer ? channelsOf(audio('block', block)) : block
    sync(() => this.#native.push(checkBlock(channels, this.#channels)))
  }

  current() {
    return sync(() => this.#native.current())
  }

  finish() {
    return new Analysis(fromCore(sync(() => this.#native.finish())))
  }
}

const channelsOf = (buffer) => Array.from({ length: buffer.channels }, (_, i) => buffer.channel(i))

/** Checks a block: so many arrays, of one length, none in the memory of another. */
export function checkBlock(block, channels) {
  check.channelArrays('block', block)
  if (block.length !== channels) throw rangeError(`block has ${block.length} channels; expected ${channels}`)
  for (let i = 1; i < channels; i += 1) {
    if (block[i].length !== block[0].length) {
      throw rangeError(`block[${i}] has ${block[i].length} frames, but block[0] has ${block[0].length}; all must be of one length`)
    }
  }
  return block
}
