// Masters a file for a target:  node examples/node/master.mjs song.flac [out.wav] [spotify]
// Without a file it masters a short piece of its own.

import { master, masterFile, testing } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [input, output = 'mastered.wav', target = 'spotify'] = process.argv.slice(2)

const onProgress = ({ stage, fraction }) => process.stderr.write(`\r${stage}: ${Math.round(100 * fraction)} %  `)
const controller = new AbortController()
process.once('SIGINT', () => controller.abort())
const options = { target, signal: controller.signal, onProgress }

let report
if (input) {
  report = await masterFile(input, output, options)
} else {
  const mastered = await master(testing.signal('music', { seed: 1, seconds: 10 }), options)
  await mastered.audio.write(output)
  report = mastered.report
}
process.stderr.write('\n')
console.log(report.summary())
console.log(`written: ${output}`)
