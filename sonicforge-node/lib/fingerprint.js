// What is remembered of a sound, at once or block by block, and what AcoustID's web service is asked and told.

import { Document, checkBlock } from './analyze.js'
import { AudioBuffer, audio, raw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError, sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run, split } from './run.js'

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

const OPEN = ['durability', 'lockTimeoutS', 'logMib', 'readOnly', 'background']
const DUPLICATES = ['maxPitchSemitones', 'maxTempoPercent', 'probes', 'minSharedS', 'threads']
const SCAN = ['forget', 'pcmHash', 'threads']

/** All duplicates of an index. */
export class DuplicateReport {
  constructor(fields) {
    Object.assign(this, fields)
  }

  /** The JSON text that the other languages write. */
  toJson() {
    return toCore(this, 'report')
  }

  /** As a table for people. */
  toTable() {
    return sync(() => binding.duplicatesTable(toCore(this, 'report')))
  }
}

function comes(id, print, note = '') {
  check.text('id', id)
  check.text('note', note)
  return [id, ours('fingerprint', print), note]
}

function query({ limit, ...numbers }) {
  const how = {}
  if (limit !== undefined) how.limit = check.whole('limit', limit, 1)
  for (const [key, value] of Object.entries(numbers)) if (value !== undefined) how[key] = check.number(key, value)
  return toCore(how, 'options')
}

/** Knows tracks again, in memory or in a folder that survives. */
export class Index {
  #native = new binding.Index()

  /** One in a folder. */
  static async open(path, options) {
    check.text('path', path)
    const [own, call] = split(options, OPEN)
    const index = new Index()
    await run(call, (job) => index.#native.open(job, path, toCore(own, 'options')))
    return index
  }

  insert(id, print, options) {
    const { note } = check.options(options, ['note'])
    const inserts = toCore([comes(id, print, note)], 'inserts')
    sync(() => this.#native.apply(inserts, []))
  }

  remove(id) {
    check.text('id', id)
    return sync(() => this.#native.remove(id))
  }

  async apply(changes, options) {
    const { inserts = [], removes = [] } = check.options(changes, ['inserts', 'removes'])
    const listed = toCore(
      Array.from(inserts, ({ id, fingerprint: print, note }) => comes(id, print, note)),
      'inserts',
    )
    const gone = Array.from(removes)
    gone.forEach((id, i) => check.text(`removes[${i}]`, id))
    await run(check.options(options, CALL), (job) => this.#native.applyLater(job, listed, gone), { settled: true })
  }

  get size() {
    return sync(() => this.#native.size())
  }

  has(id) {
    check.text('id', id)
    return sync(() => this.#native.has(id))
  }

  ids() {
    return sync(() => this.#native.ids())
  }

  get(id) {
    check.text('id', id)
    const found = fromCore(sync(() => this.#native.get(id)))
    return found && { ...found, chromaprint: Chromaprint.decode(found.chromaprint) }
  }

  stats() {
    return fromCore(sync(() => this.#native.stats()))
  }

  async query(sound, options) {
    const buffer = audio('audio', sound)
    const [own, call] = split(options, QUERY)
    return fromCore(await run(call, (job) => this.#native.query(job, ...raw(buffer), query(own))))
  }

  async queryBatch(sounds, options) {
    const [own, call] = split(options, QUERY)
    query(own)
    return Promise.all(Array.from(sounds, (sound) => this.query(sound, { ...own, signal: call.signal })))
  }

  async matchSvg(sound, match) {
    const buffer = audio('audio', sound)
    return run({}, (job) => this.#native.matchSvg(job, ...raw(buffer), toCore(match, 'match')))
  }

  async duplicates(options) {
    const [own, call] = split(options, DUPLICATES)
    return new DuplicateReport(fromCore(await run(call, (job) => this.#native.duplicates(job, toCore(own, 'options')))))
  }

  async scan(folder, options) {
    check.text('folder', folder)
    const [own, call] = split(options, SCAN)
    return fromCore(await run(call, (job) => this.#native.scan(job, folder, toCore(own, 'options')), { settled: true }))
  }

  async flush() {
    await run({}, (job) => this.#native.tend(job, 'flush', ''))
  }

  async check() {
    await run({}, (job) => this.#native.tend(job, 'check', ''))
  }

  async exportFile(path) {
    check.text('path', path)
    await run({}, (job) => this.#native.tend(job, 'export', path))
  }

  async importFile(path) {
    check.text('path', path)
    await run({}, (job) => this.#native.tend(job, 'import', path))
  }

  refresh() {
    return sync(() => this.#native.refresh())
  }

  close() {
    sync(() => this.#native.close())
  }
}

/** The answers of several indexes to one query as that of one. */
export function mergeTopk(answers, limit) {
  check.whole('limit', limit, 1)
  const best = new Map()
  const all = Array.from(answers, (answer) => Array.from(answer)).flat()
  all.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
  for (const match of all) if (!best.has(match.id)) best.set(match.id, match)
  return [...best.values()].slice(0, limit)
}

/** Fingerprints a sound file block by block. */
export async function fingerprintFile(path, options) {
  check.text('path', path)
  const [{ pcmHash = false, ...own }, call] = split(options, [...PARAMS, 'pcmHash'])
  const how = toCore({ ...JSON.parse(params(own)), pcmHash: Boolean(pcmHash) }, 'options')
  return new Fingerprint(fromCore(await run(call, (job) => binding.fingerprintFile(job, path, how))))
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
