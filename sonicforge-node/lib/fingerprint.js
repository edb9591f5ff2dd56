// What is remembered of a sound, at once or block by block, and what AcoustID's web service is asked and told.

import { Document, checkBlock } from './analyze.js'
import { AudioBuffer, audio, raw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError, sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { run, split } from './run.js'

/** AcoustID's fingerprint: 32 bits for each eighth of a second. */
export class Chromaprint {
  #native

  constructor(words, options) {
    const { preset = 'test2' } = check.options(options, ['preset'])
    check.text('preset', preset)
    if (!(words instanceof Uint32Array)) {
      throw typeError(`words is ${check.kind(words)}; expected a Uint32Array: pass Uint32Array.from(words)`)
    }
    this.#native = sync(() => new binding.Chromaprint32(preset, words.slice()))
  }

  /** Reads the compressed base64 text. */
  static decode(text) {
    check.text('text', text)
    const native = sync(() => binding.Chromaprint32.decode(text))
    return new Chromaprint(native.words(), { preset: native.preset() })
  }

  encode() {
    return this.#native.encode()
  }

  /** A copy. */
  get words() {
    return this.#native.words()
  }

  get preset() {
    return this.#native.preset()
  }

  simhash() {
    return this.#native.simhash()
  }

  first(seconds) {
    check.number('seconds', seconds)
    return Chromaprint.decode(this.#native.first(seconds))
  }

  toJSON() {
    return this.encode()
  }
}

/** What is remembered of one sound. */
export class Fingerprint extends Document {
  static kind = 'fingerprint'

  constructor(fields) {
    const { chromaprint } = fields
    super({ ...fields, chromaprint: typeof chromaprint === 'string' ? Chromaprint.decode(chromaprint) : chromaprint })
  }
}

const PARAMS = ['preset', 'silenceThreshold']

function params({ preset = 'test2', silenceThreshold = null }) {
  check.text('preset', preset)
  if (!/^test[1-5]$/.test(preset)) throw rangeError(`preset is ${JSON.stringify(preset)}; expected "test1" to "test5" (AcoustID's is test2)`)
  if (silenceThreshold !== null) check.whole('silenceThreshold', silenceThreshold, 0, 32767)
  return toCore({ preset, silenceThreshold }, 'options')
}

/** Fingerprints a whole sound. */
export async function fingerprint(sound, options) {
  const buffer = audio('audio', sound)
  const [own, call] = split(options, PARAMS)
  const how = params(own)
  return new Fingerprint(fromCore(await run(call, (job) => binding.fingerprint(job, ...raw(buffer), how))))
}

/** Fingerprints block by block; the result equals that of `fingerprint` whatever the block size. */
export class Fingerprinter {
  #native
  #channels

  constructor(options) {
    const { sampleRate, channels, ...own } = check.options(options, ['sampleRate', 'channels', ...PARAMS])
    check.whole('sampleRate', sampleRate)
    check.whole('channels', channels)
    const how = params(own)
    this.#native = sync(() => new binding.Fingerprinter(sampleRate, channels, how))
    this.#channels = channels
  }

  push(block) {
    const channels =
      block instanceof AudioBuffer ? Array.from({ length: block.channels }, (_, i) => audio('block', block).channel(i)) : block
    sync(() => this.#native.push(checkBlock(channels, this.#channels)))
  }

  finish() {
    return new Fingerprint(fromCore(sync(() => this.#native.finish())))
  }
}

function ours(name, value) {
  if (!(value instanceof Fingerprint)) throw typeError(`${name} is ${check.kind(value)}; expected a Fingerprint`)
  return value
}

const QUERY = ['limit', 'threshold', 'maxPitchSemitones', 'maxTempoPercent']

/** Knows tracks again from excerpts. In memory. */
export class Index {
  #native = new binding.Index()

  insert(id, print) {
    check.text('id', id)
    const { landmarks } = ours('fingerprint', print)
    sync(() => this.#native.insert(id, landmarks))
  }

  remove(id) {
    check.text('id', id)
    return sync(() => this.#native.remove(id))
  }

  get size() {
    return sync(() => this.#native.size())
  }

  async query(sound, options) {
    const buffer = audio('audio', sound)
    const [own, call] = split(options, QUERY)
    const how = {}
    for (const key of QUERY) {
      if (own[key] !== undefined) how[key] = key === 'limit' ? check.whole(key, own[key], 1) : check.number(key, own[key])
    }
    return fromCore(await run(call, (job) => this.#native.query(job, ...raw(buffer), toCore(how, 'options'))))
  }
}

/** The parameters of a look-up, to be posted to https://api.acoustid.org/v2/lookup. */
export function acoustidLookup(print, options) {
  const { seconds, chromaprint } = ours('fingerprint', print)
  const { client, meta = [] } = check.options(options, ['client', 'meta'])
  check.text('client', client)
  if (!Array.isArray(meta)) throw typeError(`meta is ${check.kind(meta)}; expected an array such as ["recordings"]`)
  meta.forEach((item, i) => check.text(`meta[${i}]`, item))
  return new URLSearchParams(JSON.parse(sync(() => binding.acoustidLookup(client, seconds, chromaprint.encode(), meta))))
}

/** The parameters of a submission, to be posted to https://api.acoustid.org/v2/submit. */
export function acoustidSubmit(tracks, options) {
  if (!Array.isArray(tracks)) throw typeError(`tracks is ${check.kind(tracks)}; expected an array of { fingerprint, … }`)
  const { client, user } = check.options(options, ['client', 'user'])
  check.text('client', client)
  check.text('user', user)
  const listed = tracks.map((track, i) => {
    const { fingerprint: print, ...known } = track
    const { seconds, chromaprint } = ours(`tracks[${i}].fingerprint`, print)
    return [seconds, chromaprint.encode(), known]
  })
  return new URLSearchParams(JSON.parse(sync(() => binding.acoustidSubmit(client, user, toCore(listed, 'tracks')))))
}
