// Prompts that learn: a Thompson-sampling optimizer whose every reward counts once.

import { Document } from './analyze.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { rangeError, sync, typeError } from './errors.js'
import { fromCore, toCore } from './names.js'
import { run } from './run.js'

const LARGEST_SEED = 2n ** 64n - 1n

/** Slots and the template that makes a prompt of one value per slot. */
export class Space {
  constructor({ slots, template }) {
    const made = sync(() => binding.spaceNormalize(toCore({ slots, template }, 'space')))
    Object.assign(this, JSON.parse(made))
  }

  /** From values by slot; without a template the concept and the values, with commas between. */
  static of(slots, template) {
    if (typeof slots !== 'object' || slots === null) throw typeError(`slots is ${check.kind(slots)}; expected { genre: ['jazz', …], … }`)
    const made = Object.entries(slots).map(([name, values]) => ({ name, values }))
    return new Space({ slots: made, template: template ?? ['{concept}', ...made.map(({ name }) => `{${name}}`)].join(', ') })
  }
}

/** What is known of a concept. */
export class PromptReport extends Document {
  static kind = 'prompt_report'

  static fromJson(text) {
    check.text('text', text)
    return new this(read(sync(() => binding.normalize(this.kind, text))))
  }

  toJson() {
    return sync(() => binding.normalize('prompt_report', reportJson(this)))
  }

  summary() {
    return sync(() => binding.promptSummary(reportJson(this)))
  }

  /** As a picture: one self-contained SVG. */
  svg() {
    return sync(() => binding.promptSvg(reportJson(this)))
  }
}

// Slots are named by the user, and their names must not change their spelling.
const slotsOf = (variant) => ({ ...variant, slots: new Verbatim(variant.slots) })

class Verbatim {
  constructor(value) {
    this.value = value
  }
}

/** A value of ours as the JSON text of the core, with the slots of variants as they are. */
function verbatim(value, name) {
  const kept = []
  const marked = JSON.stringify(value, (key, inner) => {
    if (!(inner instanceof Verbatim)) return inner
    kept.push(JSON.stringify(inner.value))
    return `\u0000${kept.length - 1}`
  })
  const text = toCore(JSON.parse(marked), name)
  return text.replace(/"\\u0000(\d+)"/g, (_, i) => kept[i])
}

function reportJson(report) {
  const variants = report.variants.map((row) => ({ ...row, variant: slotsOf(row.variant) }))
  return verbatim({ ...report, variants }, 'report')
}

/** The JSON text of the core as a value of ours, with the slots of variants as they are. */
function read(text) {
  const plain = JSON.parse(text)
  const ours = fromCore(text)
  restore(plain, ours)
  return ours
}

function restore(plain, ours) {
  if (typeof plain !== 'object' || plain === null) return
  const keys = Object.keys(plain)
  const oursKeys = Object.keys(ours)
  for (const [i, key] of keys.entries()) {
    if (key === 'slots' && !Array.isArray(plain.slots)) ours.slots = plain.slots
    else restore(plain[key], ours[oursKeys[i]])
  }
}

const OPTIONS = [
  'store', 'durability', 'spool', 'name', 'metrics', 'model', 'drift', 'policy', 'prior', 'linear', 'bucketS', 'refreshRewards',
  'refreshMs', 'seed', 'secret',
]

function seedText(seed) {
  if (typeof seed !== 'bigint') return String(check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER))
  if (seed < 0n || seed > LARGEST_SEED) throw rangeError(`seed is ${seed}; expected a whole number from 0 to ${LARGEST_SEED}`)
  return String(seed)
}

/** Characters after a token: the decision's, then those of the candidate's number. */
const DECISION = 24
const NUMBER = 8

/** A suggestion from its short text and what all suggestions of its candidate have in common. */
function suggestion(text, end, length, concept, row, candidates) {
  const decision = end - NUMBER - DECISION
  return {
    token: text.slice(end - length, decision),
    decision: text.slice(decision, end - NUMBER),
    concept,
    variant: row.variant,
    prompt: row.prompt,
    propensity: row.propensity,
    candidates,
  }
}

// Suggestions of one policy share its candidates.
const frozen = (candidates) => Object.freeze(candidates.map((candidate) => Object.freeze(candidate)))

const withFrozen = (suggested) => ({ ...suggested, candidates: frozen(suggested.candidates) })

/** The policies of no more concepts than this are kept in mind. */
const MAX_SEEN = 1024

/** Learns which prompts please. Several workers and processes share one through its store. */
export class PromptOptimizer {
  #native
  // What is known of each concept's policy: its serial number, its candidates, and what suggestions of each have in common.
  #seen = new Map()

  constructor(native, space) {
    if (!(native instanceof binding.PromptOptimizer)) throw typeError('use await PromptOptimizer.open(space, options)')
    this.#native = native
    this.space = space
  }

  /** Opens the store, by default in memory, and makes an optimizer over it. */
  static async open(space, options) {
    if (space !== null && !(space instanceof Space)) {
      throw typeError(`space is ${check.kind(space)}; expected a Space, or null for free text only`)
    }
    const { store = 'memory:', durability = 'power', spool, seed = 0, metrics, ...rest } = check.options(options, OPTIONS)
    check.text('store', store)
    const named = metrics?.map((metric) => (typeof metric === 'string' ? { name: metric } : metric))
    const inner = toCore({ ...rest, ...(named && { metrics: named }) }, 'options')
    // The seed has 64 bits; what JSON.stringify writes has 53.
    const all = `{"seed":${seedText(seed)}${inner === '{}' ? '}' : `,${inner.slice(1)}`}`
    const head = JSON.stringify({
      space: space === null ? null : { slots: space.slots, template: space.template },
      store,
      durability,
      spool: spool === undefined ? null : check.path('spool', spool),
    })
    const text = `${head.slice(0, -1)},"options":${all}}`
    return new PromptOptimizer(await run({}, (job) => binding.openOptimizer(job, text)), space)
  }

  async #call(call, fields = {}) {
    return read(await run({}, (job) => this.#native.call(job, verbatim({ call, ...fields }, call))))
  }

  options() {
    return this.#call('options')
  }

  async suggest(concept, options) {
    const { decision, epoch, context } = check.options(options, ['decision', 'epoch', 'context'])
    check.text('concept', concept)
    if (epoch !== undefined) check.whole('epoch', epoch)
    if (context === undefined) {
      const found = this.#atOnce(concept, decision, epoch)
      if (found !== null) return found
    }
    const features = context === undefined ? undefined : Array.from(context, (x, i) => check.number(`context[${i}]`, x))
    return withFrozen(await this.#call('suggest', { concept, decision, epoch, context: features }))
  }

  /** A suggestion without a turn of libuv's pool, where neither the store nor a new policy is needed; else null. */
  #atOnce(concept, decision, epoch) {
    if (decision !== undefined && decision !== null) check.text('decision', decision)
    let seen = this.#seen.get(concept)
    const text = sync(() => this.#native.trySuggest(concept, seen === undefined ? 0 : seen.serial, decision, epoch))
    if (text === null) return null
    const end = text.length
    const number = Number.parseInt(text.slice(end - NUMBER), 16)
    if (!text.startsWith('{')) return suggestion(text, end, end, concept, seen.rows.get(number), seen.candidates)
    const cut = text.lastIndexOf('}') + 1
    const { serial, candidates, ...row } = JSON.parse(text.slice(0, cut))
    if (candidates) {
      if (this.#seen.size >= MAX_SEEN) this.#seen.clear()
      this.#seen.set(concept, (seen = { serial, candidates: frozen(candidates), rows: new Map() }))
    }
    seen.rows.set(number, row)
    return suggestion(text, end, end - cut, concept, row, seen.candidates)
  }

  async suggestBatch(concept, count) {
    check.text('concept', concept)
    check.whole('count', count)
    const { head, rows: texts } = await run({}, (job) => this.#native.suggestBatch(job, concept, count))
    if (texts.length === 0) return []
    const { candidates, drawn, width } = JSON.parse(head)
    const shared = frozen(candidates)
    const rows = new Map(drawn.map((row) => [row.index, row]))
    const out = []
    for (const text of texts) {
      for (let end = width; end <= text.length; end += width) {
        const row = rows.get(Number.parseInt(text.slice(end - NUMBER, end), 16))
        out.push(suggestion(text, end, width, concept, row, shared))
      }
    }
    return out
  }

  async suggestTop(concept, count) {
    const found = await this.#call('suggest_top', { concept: check.text('concept', concept), count: check.whole('count', count) })
    return found.map(withFrozen)
  }

  async suggestDuel(concept) {
    return this.#call('suggest_duel', { concept: check.text('concept', concept) })
  }

  async reward(token, value, options) {
    const { metric, revision } = check.options(options, ['metric', 'revision'])
    return (await this.rewardAll([{ token, value, metric, revision }]))[0]
  }

  async rewardAll(feedback) {
    if (!Array.isArray(feedback)) throw typeError(`feedback is ${check.kind(feedback)}; expected an array such as [{ token, value: 1 }]`)
    const rows = feedback.map((row) => {
      const { token, value, metric = null, revision = 0 } = check.options(row ?? undefined, ['token', 'value', 'metric', 'revision'])
      check.whole('revision', revision, 0, Number.MAX_SAFE_INTEGER)
      return { token: check.text('token', token), value: check.number('value', value), metric, revision }
    })
    return this.#call('reward_all', { feedback: rows })
  }

  async variants(concept) {
    return this.#call('variants', { concept: check.text('concept', concept) })
  }

  concepts() {
    return this.#call('concepts')
  }

  async add(concept, what) {
    const { text, slots, control = false } = check.options(typeof what === 'string' ? { text: what } : what, ['text', 'slots', 'control'])
    return this.#call('add', { concept: check.text('concept', concept), text, slots: slots && new Verbatim(slots), control })
  }

  async setStatus(concept, variant, status) {
    await this.#call('set_status', { concept: check.text('concept', concept), variant, status })
  }

  async setControl(concept, variant) {
    await this.#call('set_control', { concept: check.text('concept', concept), variant })
  }

  async start(concept, count = 4) {
    return this.#call('start', { concept: check.text('concept', concept), count: check.whole('count', count) })
  }

  async propose(concept, count = 1) {
    return this.#call('propose', { concept: check.text('concept', concept), count: check.whole('count', count) })
  }

  async evolve(concept, options) {
    const { below = 0.005, atLeast = 20 } = check.options(options, ['below', 'atLeast'])
    check.whole('atLeast', atLeast)
    const [retired, added] = await this.#call('evolve', { concept: check.text('concept', concept), below: check.number('below', below), atLeast })
    return { retired, added }
  }

  /** The probabilities that suggestions are drawn with now, by variant id. */
  async policy(concept) {
    const rows = await this.#call('policy', { concept: check.text('concept', concept) })
    return Object.fromEntries(rows.map(({ variant, propensity }) => [variant, propensity]))
  }

  async report(concept, options) {
    const rule = check.options(options, ['pBest', 'expectedLoss', 'atLeast'])
    return new PromptReport(await this.#call('report', { concept: check.text('concept', concept), rule }))
  }

  async log(concept, options) {
    const { metric } = check.options(options, ['metric'])
    return this.#call('log', { concept: check.text('concept', concept), metric })
  }

  async evaluate(concept, policy, options) {
    const { metric } = check.options(options, ['metric'])
    if (typeof policy !== 'object' || policy === null) throw typeError(`policy is ${check.kind(policy)}; expected { variant: probability, … }`)
    const rows = Object.entries(policy).map(([id, p]) => [id, check.number(`policy[${id}]`, p)])
    return this.#call('evaluate', { concept: check.text('concept', concept), metric, policy: rows })
  }

  exportState() {
    return run({}, (job) => this.#native.exportState(job))
  }

  async importState(text) {
    return this.#call('import_state', { text: check.text('text', text) })
  }

  async refresh() {
    await this.#call('refresh')
  }

  flush() {
    return this.#call('flush')
  }
}

/** What another policy would have earned, from any log: IPS, self-normalized IPS and, with a model, doubly robust. */
export function evaluatePolicy(log) {
  if (!Array.isArray(log)) throw typeError(`log is ${check.kind(log)}; expected an array such as [{ propensity: 0.25, reward: 1, target: 1 }]`)
  return fromCore(sync(() => binding.evaluatePolicy(toCore(log, 'log'))))
}
