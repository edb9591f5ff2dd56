// Simulated listeners improve four prompts:  node examples/node/optimize.mjs [400] [optimize.svg] [taste.db]
// Rounds, where the picture goes, and the store ("memory:" by default).

import { writeFile } from 'node:fs/promises'
import { PromptOptimizer, Space } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [rounds = '400', picture = 'optimize.svg', store = 'memory:'] = process.argv.slice(2)

const space = Space.of({
  genre: ['lo-fi hip hop', 'jazz', 'ambient', 'deep house'],
  mood: ['calm', 'melancholic', 'hopeful', 'dark'],
  instruments: ['piano and vinyl noise', 'guitar', 'warm pads', 'brushed drums'],
  tempo: ['70 bpm', '85 bpm', '100 bpm', '120 bpm'],
})

// The probability that a listener likes a prompt; nobody but the listeners knows it.
const liked = { 'lo-fi hip hop': 0.25, jazz: 0.15, melancholic: 0.15, calm: 0.1, 'piano and vinyl noise': 0.15 }
const pleases = (slots) => Object.values(slots).reduce((sum, value) => sum + (liked[value] ?? 0), 0.25)

// A small generator with a seed, so that the program says the same every time.
let state = 1
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

const concept = 'rainy night'
const optimizer = await PromptOptimizer.open(space, { store, seed: 1 })
await optimizer.start(concept)
let earned = 0
for (let n = 0; n < Number(rounds); n += 1) {
  const suggestion = await optimizer.suggest(concept, { epoch: Math.floor(n / 20) })
  const variants = await optimizer.variants(concept)
  const { slots } = variants.find(({ id }) => id === suggestion.variant)
  const value = random() < pleases(slots) ? 1 : 0
  await optimizer.reward(suggestion.token, value)
  earned += value
  if (n % 100 === 99) {
    const { retired, added } = await optimizer.evolve(concept, { below: 0.02, atLeast: 10 })
    retired.forEach((old, i) => console.log(`after ${n + 1}: "${old.text}" makes room for "${added[i]?.text}"`))
  }
}
const report = await optimizer.report(concept)
console.log(report.summary())
console.log(`${earned} of ${rounds} were liked`)
await writeFile(picture, report.svg())
console.log(`written: ${picture}`)
