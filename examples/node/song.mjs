// From words to a mastered track:  node examples/node/song.mjs "fast techno in A minor" song.wav [SECONDS] [SEED] [TARGET]
// The music comes from the default model, which is part of the package; the report lies beside it, as JSON and as a page.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MusicGen, masterFile } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const PROMPT = 'slow ambient in D minor with warm pad and piano, 70 bpm'
const [prompt = PROMPT, output = 'song.wav', seconds = 10, seed = 1, target = 'spotify'] = process.argv.slice(2)

const stem = output.replace(/\.[^./]*$/, '')
await mkdir(dirname(output), { recursive: true })
const model = await MusicGen.load()
const made = await model.generate(prompt, { seconds: Number(seconds), seed: Number(seed) })
// The small model speaks 16 kHz mono; players expect more.
const full = (await made.resample(48_000)).toStereo()
await full.write(`${stem}-raw.flac`)
const report = await masterFile(`${stem}-raw.flac`, output, { target })
await writeFile(`${stem}.json`, report.toJson())
await writeFile(`${stem}.html`, report.html())
console.log(report.summary())
console.log(`written: ${stem}-raw.flac, ${output}, ${stem}.json, ${stem}.html`)
