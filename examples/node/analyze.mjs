// Says what can be measured of a file:  node examples/node/analyze.mjs song.flac
// Without a file it listens to a short piece of its own.

import { AudioBuffer, analyze, testing } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [input] = process.argv.slice(2)
const audio = input ? await AudioBuffer.read(input) : testing.signal('music', { seed: 1, seconds: 10 })
const analysis = await analyze(audio)

const say = (name, value, unit) => console.log(`${name.padEnd(16)} ${value === null ? '–' : `${value.toFixed(2)} ${unit}`}`)
console.log(audio)
say('integrated', analysis.integratedLufs, 'LUFS')
say('short-term max', analysis.shortTermMaxLufs, 'LUFS')
say('loudness range', analysis.loudnessRangeLu, 'LU')
say('true peak', analysis.truePeakDbtp, 'dBTP')
say('peak to loudness', analysis.plrLu, 'LU')
say('correlation', analysis.correlation, '')
