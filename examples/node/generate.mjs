// Makes music from text:  node examples/node/generate.mjs CHECKPOINT "slow warm piano" music.wav [SECONDS] [SEED]
// CHECKPOINT is a folder in the Hugging Face layout (such as a download of musicgen-small) or a GGUF file made of one. The
// music is written while it is made; Ctrl-C stops it and leaves no file.

import { MusicGen, Writer } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [checkpoint, prompt, output = 'music.wav', seconds = 10, seed = 0] = process.argv.slice(2)
if (prompt === undefined) {
  console.error('usage: node generate.mjs CHECKPOINT PROMPT [OUTPUT] [SECONDS] [SEED]')
  process.exit(2)
}

const model = await MusicGen.load(checkpoint)
console.error(model)

const controller = new AbortController()
process.once('SIGINT', () => controller.abort())
const onProgress = ({ stage, fraction }) => process.stderr.write(`\r\x1b[K${stage}: ${Math.round(100 * fraction)} %`)
const options = { seconds: Number(seconds), seed: Number(seed), signal: controller.signal, onProgress }

const { sampleRate, channels } = model.info
const writer = await Writer.create(output, { sampleRate, channels })
try {
  for await (const chunk of model.stream(prompt, options)) await writer.write(chunk)
  await writer.finish()
  console.log(`\nwritten: ${output}`)
} catch (error) {
  await writer.discard()
  if (error.name !== 'AbortError') throw error
}
