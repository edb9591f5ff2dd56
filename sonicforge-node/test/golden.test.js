// Runs the golden vectors that all three languages run (`sonicforge-core/tests/golden/<verb>/<case>.json`), through the
// public face. A case is `{ operation, input, parameters, expected, tolerance, origin }`; every field of `expected` is
// compared: numbers within the tolerance of the outermost field that they are in, the rest exactly.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import test from 'node:test'
import * as sonicforge from '../lib/index.js'
import { camel } from '../lib/names.js'
import { here } from './support.js'

const { AudioBuffer, Chromaprint, Index, MasteringChain, MusicGen, Plan, Preset, PromptOptimizer, Space } = sonicforge
const { acoustidLookup, acoustidSubmit, analyze, evaluatePolicy, fingerprint, master, plan, testing } = sonicforge
const root = here('../../sonicforge-core/tests/golden/')

const operations = {
  analyze: ({ input }) => analyze(sound(input)),
  render: async ({ input, parameters }) => {
    const chain = new MasteringChain(parameters.preset)
    const audio = await chain.render(sound(input))
    const { latency } = chain.prepare({ sampleRate: input.sampleRate, channels: input.channels })
    return { latency, frames: audio.frames, probes: probes(audio) }
  },
  plan: ({ input, parameters }) => plan(sound(input), parameters),
  master: async ({ input, parameters: { target, plan: made } }) => {
    const { report } = made ? await new Plan(made).render(sound(input)) : await master(sound(input), { target })
    return report
  },
  match: ({ input, parameters: { reference, parts } }) => plan(sound(input), { reference: sound(reference), match: parts }),
  preset: ({ parameters: { json, toml } }) => {
    try {
      return json === undefined ? Preset.fromToml(toml) : Preset.fromJson(json)
    } catch (error) {
      return { error: error.code }
    }
  },
  chromaprint: async ({ input, parameters }) => {
    const { chromaprint } = await fingerprint(sound(input), parameters)
    return { chromaprint: chromaprint.encode(), simhash: chromaprint.simhash() }
  },
  index_query: async ({ input, parameters: { tracks } }) => {
    const index = new Index()
    for (const { id, input } of tracks) index.insert(id, await fingerprint(sound(input)))
    return { found: await index.query(sound(input)) }
  },
  chromaprint_texts: ({ parameters: { texts } }) => {
    const read = (text) => {
      try {
        const { preset, words } = Chromaprint.decode(text)
        return { preset, words: [...words] }
      } catch (error) {
        return { error: error.code }
      }
    }
    return { read: texts.map(read) }
  },
  acoustid: async ({ input, parameters: { client, user, meta, known } }) => {
    const print = await fingerprint(sound(input))
    const tracks = [{ fingerprint: print, ...known }]
    const code = (call) => {
      try {
        return [...call()]
      } catch (error) {
        return error.code
      }
    }
    return {
      lookup: [...acoustidLookup(print, { client, meta })],
      submit: [...acoustidSubmit(tracks, { client, user })],
      errors: [
        code(() => acoustidLookup(print, { client: '', meta })),
        code(() => acoustidSubmit(tracks, { client, user: '' })),
      ],
    }
  },
  tokenize: async ({ parameters: { checkpoint, prompts } }) => {
    const model = await load(checkpoint)
    return { ids: prompts.map((prompt) => [...model.tokenize(prompt)]) }
  },
  generate_codes: async ({ parameters: { checkpoint, request } }) => {
    const { prompt, ...options } = request
    return { codes: lists(await (await load(checkpoint)).generateCodes(prompt, options)) }
  },
  decode_codes: async ({ parameters: { checkpoint, codes } }) => {
    const audio = await (await load(checkpoint)).decodeCodes(codes)
    const { sampleRate, channels, frames } = audio
    return { sampleRate, channels, frames, probes: probes(audio) }
  },
  encode_audio: async ({ parameters: { checkpoint, sampleRate, samples } }) => {
    const audio = AudioBuffer.fromChannels(samples.map((channel) => Float32Array.from(channel)), { sampleRate })
    return { codes: lists(await (await load(checkpoint)).encodeAudio(audio)) }
  },
  optimize: async ({ parameters: { space, options, concepts, variants, rounds, context } }) => {
    // JSON.parse has rounded the largest seed there is.
    const seed = options.seed > Number.MAX_SAFE_INTEGER ? 2n ** 64n - 1n : options.seed
    const optimizer = await PromptOptimizer.open(new Space(space), { ...options, seed })
    for (const concept of concepts) await optimizer.start(concept, variants)
    const suggestions = []
    for (let n = 0; n < rounds; n += 1) {
      const s = await optimizer.suggest(concepts[n % concepts.length], {
        decision: n.toString(16).padStart(24, '0'),
        epoch: Math.floor(n / 8),
        context: context ? [(n % 5) / 4 - 0.5, (n % 3) / 2 - 0.5] : undefined,
      })
      await optimizer.reward(s.token, (7 * n + s.prompt.length) % 3 === 0 ? 1 : 0)
      suggestions.push(s)
    }
    const report = await optimizer.report(concepts[0])
    return {
      prompts: suggestions.map((s) => s.prompt),
      propensities: suggestions.map((s) => s.propensity),
      tokens: suggestions.map((s) => s.token),
      policy: await optimizer.policy(concepts[0]),
      pBest: report.variants.map((v) => v.pBest),
      means: report.variants.map((v) => v.utility.mean),
      state: await optimizer.exportState(),
    }
  },
  optimize_errors: async ({ parameters: { space, concept, spaces, tokens, values } }) => {
    const code = async (call) => {
      try {
        await call()
        return null
      } catch (error) {
        return error.code
      }
    }
    const all = async (items, call) => {
      const codes = []
      for (const item of items) codes.push(await code(() => call(item)))
      return codes
    }
    const optimizer = await PromptOptimizer.open(new Space(space))
    const unknownConcept = await code(() => optimizer.suggest(concept))
    await optimizer.start(concept)
    const { token } = await optimizer.suggest(concept)
    return {
      spaces: await all(spaces, (s) => new Space(s)),
      tokens: await all(tokens, (t) => optimizer.reward(t, 1)),
      values: await all(values, (v) => optimizer.reward(token, v)),
      unknownConcept,
      state: await code(() => optimizer.importState('{}')),
    }
  },
  evaluate_policy: ({ parameters: { log } }) => evaluatePolicy(log),
  generation_error: async ({ parameters: { checkpoint, batches } }) => {
    const model = await load(checkpoint)
    const code = (batch) => model.generateBatch(batch).then(() => null, (error) => error.code)
    return { errors: await Promise.all(batches.map(code)) }
  },
}

const load = (checkpoint) => {
  const source = checkpoint === 'default' ? undefined : here(`../../sonicforge-core/tests/fixtures/generate/${checkpoint}`)
  return MusicGen.load(source, { quantization: 'f32', threads: 1 })
}

const lists = (codes) => codes.map((book) => [...book])

/** Sixteen samples of each channel. */
function probes(audio) {
  const probe = (channel) => Array.from({ length: 16 }, (_, k) => channel[Math.floor(((k + 1) * audio.frames) / 17)])
  return Array.from({ length: audio.channels }, (_, c) => probe(audio.channel(c)))
}

function sound({ signal: { kind, ...parameters }, ...format }) {
  return testing.signal(kind, { ...parameters, ...format })
}

const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== 'tools')
const cases = folders.flatMap(({ name }) =>
  readdirSync(new URL(`${name}/`, root))
    .filter((file) => file.endsWith('.json'))
    .map((file) => `${name}/${file}`),
)

test('there are as many cases as there should be', () => {
  const atLeast = Number(readFileSync(new URL('COUNT', root), 'utf8'))
  assert.ok(cases.length >= atLeast, `${cases.length} golden cases, but COUNT says ${atLeast}`)
})

for (const name of cases) {
  test(name, async () => {
    const golden = camel(JSON.parse(readFileSync(new URL(name, root), 'utf8')))
    const operation = operations[golden.operation]
    assert.ok(operation, `unknown golden operation ${golden.operation}`)
    assert.deepEqual(differences(await operation(golden), golden), [])
  })
}

function differences(actual, { expected, tolerance = {} }) {
  return Object.keys(expected).flatMap((field) => compare(actual[field], expected[field], tolerance[field] ?? 0, field))
}

function compare(actual, expected, tolerance, at) {
  if (typeof actual === 'number' && typeof expected === 'number') {
    const close = Math.abs(actual - expected) <= tolerance + 1e-12 * Math.abs(expected)
    return close ? [] : [`${at} is ${actual}, expected ${expected} ± ${tolerance}`]
  }
  if (Array.isArray(expected) && Array.isArray(actual) && actual.length === expected.length) {
    return expected.flatMap((item, i) => compare(actual[i], item, tolerance, `${at}[${i}]`))
  }
  if (isObject(actual) && isObject(expected)) {
    return Object.keys(expected).flatMap((key) => compare(actual[key], expected[key], tolerance, `${at}.${key}`))
  }
  return Object.is(actual, expected) ? [] : [`${at} is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`]
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

test('the comparison sees what is wrong', () => {
  const golden = { expected: { a: 1, b: [1, null], c: [{ x: 2 }], d: null }, tolerance: { a: 0.1, c: 0.5 } }
  assert.deepEqual(differences({ a: 1.05, b: [1, null], c: [{ x: 2.4, y: 1 }], d: null }, golden), [])
  for (const bad of [
    { a: 1.2, b: [1, null], c: [{ x: 2 }], d: null },
    { a: 1, b: [1, 0], c: [{ x: 2 }], d: null },
    { a: 1, b: [1], c: [{ x: 2 }], d: null },
    { a: null, b: [1, null], c: [{ x: 2 }], d: null },
    { a: NaN, b: [1, null], c: [{ x: 2 }], d: null },
    { a: 1, b: [1, null], c: [{}], d: null },
    { a: 1, b: [1, null], c: [{ x: 2 }] },
  ]) {
    assert.equal(differences(bad, golden).length, 1, JSON.stringify(bad))
  }
})

test('every public name of api.json is there, and every export is in api.json', () => {
  const rows = JSON.parse(readFileSync(new URL('api.json', root), 'utf8'))
  const names = rows.map((row) => row.node).filter((name) => typeof name === 'string')
  assert.deepEqual(names.filter((name) => !isThere(name)), [])
  const listed = new Set(names.map((name) => name.split('.')[0]))
  assert.deepEqual(Object.keys(sonicforge).filter((name) => !listed.has(name)), [])
})

/** Whether `a.b` is a name of the package: a member of a namespace, a static or a property of the class. */
function isThere(name) {
  let value = sonicforge
  for (const part of name.replaceAll('()', '').replaceAll('#', '.').split('.')) {
    if (value === undefined || value === null) return false
    if (part in Object(value)) value = Object.getOwnPropertyDescriptor(Object(value), part)?.value ?? true
    else if (typeof value === 'function' && part in (value.prototype ?? {})) value = true
    else return false
  }
  return true
}
