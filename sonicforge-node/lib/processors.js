// The stages of the mastering chain, for hosts that run them block by block, and the chain itself.

import { Document, checkBlock } from './analyze.js'
import { fromRaw, raw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { CALL, run } from './run.js'

/** A sound in, a sound out, in place: prepare once, then process blocks of any length. */
class Processor {
  #native
  #channels = 0

  constructor(native) {
    this.#native = native
  }

  prepare(options) {
    const { sampleRate, channels = 2, maxFrames = 8192 } = check.options(options, ['sampleRate', 'channels', 'maxFrames'])
    check.whole('sampleRate', sampleRate)
    check.whole('channels', channels)
    check.whole('maxFrames', maxFrames, 1)
    sync(() => this.#native.prepare(sampleRate, channels, maxFrames))
    this.#channels = channels
    return this
  }

  process(block) {
    if (this.#channels === 0) throw typeError('prepare({ sampleRate, channels }) comes before process')
    sync(() => this.#native.process(checkBlock(block, this.#channels)))
    return block
  }

  flush() {
    if (this.#channels === 0) throw typeError('prepare({ sampleRate, channels }) comes before flush')
    return this.process(Array.from({ length: this.#channels }, () => new Float32Array(this.latency)))
  }

  reset() {
    sync(() => this.#native.reset())
  }

  get latency() {
    return this.#native.latency
  }

  get nonFiniteSamples() {
    return this.#native.nonFiniteSamples
  }

  async render(sound, options) {
    const call = check.options(options, CALL)
    return fromRaw(await run(call, (job) => this.#native.render(job, ...raw(sound))))
  }
}

/** A processor that one object of parameters describes; `type` is its name in a preset. To the core it is a chain of one. */
class Stage extends Processor {
  #native

  constructor(params = {}) {
    const { type } = new.target
    const native = sync(() => new binding.Chain(toCore({ modules: [{ ...checkParams(params), type }] }, 'preset')))
    super(native)
    this.#native = native
  }

  get params() {
    const { type, ...params } = this.toJSON()
    return params
  }

  setParams(params) {
    const module = { ...this.toJSON(), ...checkParams(params), type: this.constructor.type }
    sync(() => this.#native.setModule(0, toCore(module, 'params')))
  }

  toJSON() {
    return fromCore(this.#native.preset).modules[0]
  }
}

function checkParams(params) {
  if (typeof params === 'object' && params !== null && !Array.isArray(params)) return params
  throw typeError(`params is ${check.kind(params)}; expected an object of parameters`)
}

export class Gain extends Stage {
  static type = 'gain'
}

export class Equalizer extends Stage {
  static type = 'equalizer'
}

export class DeEsser extends Stage {
  static type = 'de_esser'
}

export class Multiband extends Stage {
  static type = 'multiband'
}

export class Exciter extends Stage {
  static type = 'exciter'
}

export class Widener extends Stage {
  static type = 'widener'
}

export class Glue extends Stage {
  static type = 'glue'
}

export class Limiter extends Stage {
  static type = 'limiter'
}

/** A chain as data: its modules in order. */
export class Preset extends Document {
  static kind = 'preset'

  static named(name) {
    check.text('name', name)
    return Preset.fromJson(sync(() => binding.presetNamed(name)))
  }

  static names() {
    return binding.presetNames()
  }

  static fromToml(text) {
    check.text('text', text)
    return Preset.fromJson(sync(() => binding.presetFromToml(text)))
  }

  toToml() {
    return sync(() => binding.presetToToml(toCore(this, 'preset')))
  }

  static async load(path, options) {
    const file = check.path('path', path)
    return new Preset(fromCore(await run(check.options(options, CALL), (job) => binding.presetLoad(job, file))))
  }

  async save(path, options) {
    const [file, preset] = [check.path('path', path), toCore(this, 'preset')]
    await run(check.options(options, CALL), (job) => binding.presetSave(job, file, preset), { settled: true })
  }
}

/** Several stages in order, as a preset says. */
export class MasteringChain extends Processor {
  #native

  constructor(preset) {
    if (typeof preset === 'string') preset = Preset.named(preset)
    if (Array.isArray(preset)) preset = { modules: preset }
    if (typeof preset !== 'object' || preset === null) {
      throw typeError(`preset is ${check.kind(preset)}; expected a Preset, the name of one, or an array of modules`)
    }
    const native = sync(() => new binding.Chain(toCore(preset, 'preset')))
    super(native)
    this.#native = native
  }

  get preset() {
    return new Preset(fromCore(this.#native.preset))
  }

  setModule(index, module) {
    check.whole('index', index)
    sync(() => this.#native.setModule(index, toCore(module, 'module')))
  }
}
