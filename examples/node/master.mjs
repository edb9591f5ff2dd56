// Masters a file for a target:  node examples/node/master.mjs song.flac mastered.wav [spotify]
// Leaves the report beside it, as JSON and as a page. Without a file it masters a short piece of its own.

import { writeFile } from 'node:fs/promises'
import { master, masterFile, testing } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [input, output = 'mastered.wav', target = 'spotify'] = process.argv.slice(2)

const controller = new AbortController()
process.once('SIGINT', () => controller.abort())
const onProgress = ({ stage, fraction }) => process.stderr.write(`\r\x1b[K${stage}: ${Math.round(100 * fraction)} %`)
const options = { target, signal: controller.signal, onProgress }

let report
if (input) {
  report = await masterFile(input, output, options)
} else {
  const mastered = await master(testing.signal('music', { seed: 1, seconds: 10 }), options)
  await mastered.audio.write(output)
  report = mastered.report
}
await writeFile(`${output}.json`, report.toJson())
await writeFile(`${output}.html`, report.html())
process.stderr.write('\n')
console.log(report.summary())
console.log(`written: ${output}, ${output}.json, ${output}.html`)
