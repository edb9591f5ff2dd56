// Files block by block, so that they need not fit in memory.

import { checkBlock } from './analyze.js'
import { AudioBuffer, WRITE, audio, fromRaw, writeOptions } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError } from './errors.js'
import { fromCore } from './names.js'
import { CALL, run } from './run.js'

/** Runs calls one after the other, in the order in which they came. */
class Queue {
  #last = Promise.resolve()

  add(call) {
    const result = this.#last.then(call)
    this.#last = result.catch(() => {})
    return result
  }
}

const call = (begin, options, how) => run(check.options(options, CALL), begin, how)

/** Decodes a file block by block. */
export class Reader {
  #native
  #queue = new Queue()

  constructor(native) {
    if (!(native instanceof binding.Reader)) throw new TypeError('use await Reader.open(path)')
    this.#native = native
    this.info = fromCore(native.info)
  }

  static async open(path, options) {
    const file = check.path('path', path)
    return new Reader(await call((job) => binding.openReader(job, file), options))
  }

  async read(frames = 65_536, options) {
    check.whole('frames', frames, 1, 2 ** 24)
    return fromRaw(await this.#queue.add(() => call((job) => this.#native.read(job, frames), options, { settled: true })))
  }

  async rewind(options) {
    await this.#queue.add(() => call((job) => this.#native.rewind(job), options, { settled: true }))
  }

  async close() {
    await this.#queue.add(() => call((job) => this.#native.close(job)))
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (let block = await this.read(); block.frames > 0; block = await this.read()) yield block
    } finally {
      await this.close()
    }
  }
}

/** Encodes a file block by block; it bears a temporary name until it is finished. */
export class Writer {
  #native
  #format
  #queue = new Queue()

  constructor(native, format) {
    if (!(native instanceof binding.Writer)) throw new TypeError('use await Writer.create(path, { sampleRate, channels })')
    this.#native = native
    this.#format = format
  }

  static async create(path, options) {
    const file = check.path('path', path)
    const { sampleRate, channels, signal, onProgress, ...how } = check.options(options, ['sampleRate', 'channels', ...WRITE, ...CALL])
    check.whole('sampleRate', sampleRate)
    check.whole('channels', channels)
    const core = writeOptions(how)
    const begin = (job) => binding.openWriter(job, file, sampleRate, channels, core)
    return new Writer(await run({ signal, onProgress }, begin, { settled: true }), { sampleRate, channels })
  }

  async write(block, options) {
    const { sampleRate, channels } = this.#format
    if (block instanceof AudioBuffer) {
      audio('block', block)
      if (block.sampleRate !== sampleRate) throw rangeError(`block has ${block.sampleRate} Hz; this file has ${sampleRate} Hz: resample it first`)
      block = Array.from({ length: block.channels }, (_, i) => block.channel(i))
    }
    // Copied now: the caller may write to its memory as soon as this returns.
    const copies = checkBlock(block, channels).map((channel) => channel.slice())
    await this.#queue.add(() => call((job) => this.#native.write(job, copies), options, { settled: true }))
  }

  async finish() {
    await this.#queue.add(() => call((job) => this.#native.finish(job), undefined, { settled: true }))
  }

  async discard() {
    await this.#queue.add(() => call((job) => this.#native.discard(job)))
  }
}

/** Text tags and pictures of a file. */
export class Tags {
  constructor({ texts, pictures }) {
    Object.assign(this, { texts, pictures })
  }

  get(name) {
    check.text('name', name)
    return this.texts.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1] ?? null
  }
}

/** Reads the tags of a file. */
export async function tags(path, options) {
  const file = check.path('path', path)
  return new Tags(await call((job) => binding.tags(job, file), options))
}
