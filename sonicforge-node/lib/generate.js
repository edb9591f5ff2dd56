// Music from text: a model of the MusicGen family, or a generator that the host writes.

import { AudioBuffer, audio, fromRaw, raw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { SonicForgeError, rangeError, sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, checkCall, orAborted, run, split } from './run.js'

const number = ['seconds', 'temperature', 'topP', 'guidanceScale']

/** What a request may say, its prompt aside. */
const REQUEST = [...number, 'tokenIds', 'seed', 'topK', 'continueFrom', 'continueCodes', 'keepPrompt', 'melody']

const LARGEST_SEED = 2n ** 64n - 1n

function checkSeed(seed) {
  if (typeof seed !== 'bigint') return check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  if (seed < 0n || seed > LARGEST_SEED) throw rangeError(`seed is ${seed}; expected a whole number from 0 to ${LARGEST_SEED}`)
  return seed
}

/** Whole numbers from 0 to 2^32 − 1, as the border takes them. */
function whole32(name, value) {
  if (value instanceof Uint32Array) return value
  if (!Array.isArray(value)) throw typeError(`${name} is ${check.kind(value)}; expected a Uint32Array or an array of whole numbers`)
  return Uint32Array.from(value, (x, i) => check.whole(`${name}[${i}]`, x))
}

function checkCodes(name, codes) {
  if (!Array.isArray(codes)) throw typeError(`${name} is ${check.kind(codes)}; expected an array with one Uint32Array per codebook`)
  return codes.map((book, i) => whole32(`${name}[${i}]`, book))
}

const sound = (name, value) => {
  const { samples, sampleRate, channels } = audio(name, value)
  return { samples, sampleRate, channels }
}

/** A request as it crosses the border: JSON, and the sounds that belong to it. */
function toWish(request) {
  const given = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined && value !== null))
  const { prompt, tokenIds, seed = 0, topK, continueFrom, continueCodes, keepPrompt, melody, ...rest } = given
  if (prompt !== undefined && typeof prompt !== 'string') {
    throw typeError(`prompt is ${check.kind(prompt)}; expected a string, or undefined for music without a prompt`)
  }
  for (const name of number) if (rest[name] !== undefined) check.number(name, rest[name])
  if (topK !== undefined) check.whole('topK', topK)
  if (keepPrompt !== undefined && typeof keepPrompt !== 'boolean') {
    throw typeError(`keepPrompt is ${check.kind(keepPrompt)}; expected true or false`)
  }
  const fields = toCore(
    {
      ...rest,
      prompt,
      topK,
      keepPrompt,
      tokenIds: tokenIds && whole32('tokenIds', tokenIds),
      continueCodes: continueCodes && checkCodes('continueCodes', continueCodes),
    },
    'request',
  )
  return {
    // The seed has 64 bits; what JSON.stringify writes has 53.
    text: `{"seed":${checkSeed(seed)}${fields === '{}' ? '}' : `,${fields.slice(1)}`}`,
    continueFrom: continueFrom && sound('continueFrom', continueFrom),
    melody: melody && sound('melody', melody),
  }
}

/** The request of a call for one piece, and the options of the call. */
function single(prompt, options) {
  const [fields, call] = split(options, REQUEST)
  return [{ ...fields, prompt }, call]
}

/** The requests of a batch; a string is a request with nothing but a prompt. */
function several(requests) {
  if (!Array.isArray(requests)) {
    throw typeError(`requests is ${check.kind(requests)}; expected an array such as [{ prompt: 'piano', seconds: 5 }]`)
  }
  return requests.map((request) => {
    if (typeof request === 'string') return { prompt: request }
    check.options(request ?? undefined, ['prompt', ...REQUEST])
    return request ?? {}
  })
}

/** Whatever makes music from a request: a MusicGen, or a function of the host's. */
export class Generator {
  /** A generator from an (async) function of the host's. */
  static fromFunction(make) {
    if (typeof make !== 'function') throw typeError(`make is ${check.kind(make)}; expected a function from a request to an AudioBuffer`)
    return new FunctionGenerator(make)
  }

  constructor() {
    if (new.target === Generator) throw typeError('use Generator.fromFunction(make), or await MusicGen.load(source)')
  }

  async generate(prompt, options) {
    const [request, call] = single(prompt, options)
    return (await this.generateBatch([request], call))[0]
  }
}

/** A function of the host's behind the same door as ours: its requests are validated, and what it returns is looked at. */
class FunctionGenerator extends Generator {
  #make

  constructor(make) {
    super()
    this.#make = make
  }

  async generateBatch(requests, options) {
    const call = check.options(options, CALL)
    checkCall(call)
    const given = several(requests)
    const wishes = given.map(toWish)
    const asked = sync(() => binding.checkRequests(wishes)).map((text, i) => ({ ...fromCore(text), ...kept(given[i]) }))
    const made = []
    for (const [i, request] of asked.entries()) {
      made.push(await this.#one(request, wishes[i], share(call, i, asked.length)))
    }
    return made
  }

  async #one(request, wish, call) {
    call.onProgress({ fraction: 0 })
    const made = buffer(await orAborted(call.signal, () => this.#make(request, call)))
    sync(() => binding.checkMade(wish, ...raw(made)))
    call.onProgress({ fraction: 1 })
    return made
  }

  stream(prompt, options) {
    const [request, call] = single(prompt, options)
    toWish(request)
    const make = () => this.generateBatch([request], call)
    return (async function* () {
      yield* await make()
    })()
  }
}

/** What of a request does not go through JSON: sounds, codes, and a seed of 64 bits. */
function kept({ seed = 0, continueFrom = null, continueCodes = null, melody = null }) {
  return { seed, continueFrom, continueCodes, melody }
}

/** The options of a call of which this is piece `i` of `count`. */
function share({ signal, onProgress }, i, count) {
  let last = 0
  const report = ({ stage = 'generate', fraction }) => {
    last = Math.max(last, Math.min(1, check.number('fraction', fraction)))
    onProgress?.({ stage, fraction: (i + last) / count })
  }
  return { signal, onProgress: report }
}

/** What a host's generator returned, as a buffer. */
function buffer(made) {
  if (made instanceof AudioBuffer) return made
  if (made?.samples instanceof Float32Array) return fromRaw(made)
  throw new SonicForgeError(`the generator returned ${check.kind(made)}; expected an AudioBuffer or { samples, sampleRate, channels }`, 'SF_MODEL')
}

/** Writes the checkpoint in a folder as one GGUF file with smaller weights. */
export async function quantize(folder, path, options) {
  const [from, to] = [check.path('folder', folder), check.path('path', path)]
  const [{ quantization = 'q8_0', compact = false }, call] = split(options, ['quantization', 'compact'])
  check.text('quantization', quantization)
  if (typeof compact !== 'boolean') throw typeError(`compact is ${check.kind(compact)}; expected true or false`)
  return fromCore(await run(call, (job) => binding.quantize(job, from, to, quantization, compact), { settled: true }))
}

/** A model of the MusicGen family. */
export class MusicGen extends Generator {
  #native

  constructor(native) {
    if (!(native instanceof binding.MusicGen)) throw typeError('use await MusicGen.load(source)')
    super()
    this.#native = native
    this.info = Object.freeze(fromCore(native.info))
  }

  static async load(source, options) {
    const path = source == null ? undefined : check.path('source', source)
    const [{ device, quantization, threads }, call] = split(options, ['device', 'quantization', 'threads'])
    if (device !== undefined) check.text('device', device)
    if (quantization !== undefined) check.text('quantization', quantization)
    if (threads !== undefined) check.whole('threads', threads)
    const how = toCore({ device, quantization, threads }, 'options')
    return new MusicGen(await run(call, (job) => binding.loadMusicGen(job, path, how)))
  }

  async generateBatch(requests, options) {
    const [wishes, call] = [several(requests).map(toWish), check.options(options, CALL)]
    return (await run(call, (job) => this.#native.generate(job, wishes))).map(fromRaw)
  }

  stream(prompt, options) {
    const [request, call] = single(prompt, options)
    // Copied now: the caller may write to its memory as soon as this returns.
    return this.#chunks(structuredClone(toWish(request)), call)
  }

  async *#chunks(wish, call) {
    const stream = await run(call, (job) => this.#native.stream(job, wish))
    try {
      for (;;) {
        const chunk = await run(call, (job) => stream.next(job))
        if (chunk === undefined) return
        yield fromRaw(chunk)
      }
    } finally {
      const closed = run({}, (job) => stream.close(job))
      // After an abort a last step may still be running; nobody has to wait for it.
      if (!call.signal?.aborted) await closed
    }
  }

  tokenize(prompt) {
    check.text('prompt', prompt)
    return Uint32Array.from(sync(() => this.#native.tokenize(prompt)))
  }

  async generateCodes(prompt, options) {
    const [request, call] = single(prompt, options)
    const wish = toWish(request)
    return run(call, (job) => this.#native.generateCodes(job, wish))
  }

  async decodeCodes(codes, options) {
    const books = checkCodes('codes', codes)
    return fromRaw(await run(check.options(options, CALL), (job) => this.#native.decodeCodes(job, books)))
  }

  async encodeAudio(sound, options) {
    const buffer = audio('audio', sound)
    return run(check.options(options, CALL), (job) => this.#native.encodeAudio(job, ...raw(buffer)))
  }

  [Symbol.for('nodejs.util.inspect.custom')]() {
    const { family, channels, sampleRate, precision, device, licence } = this.info
    const spoken = channels === 2 ? 'stereo' : 'mono'
    return `MusicGen { ${family}, ${spoken}, ${sampleRate} Hz, ${precision}, ${device}, weights: ${licence} }`
  }
}
