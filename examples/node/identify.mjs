// Which track of a folder is this?  node examples/node/identify.mjs MUSIC EXCERPT [INDEX] [PICTURE.svg]
// MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given), so that the next
// time only new files are heard. EXCERPT is a sound file of some seconds, recorded from wherever.

import { writeFile } from 'node:fs/promises'
import { AudioBuffer, Index } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [music, excerpt, place = 'index', picture] = process.argv.slice(2)
if (excerpt === undefined) throw new Error('usage: identify.mjs MUSIC EXCERPT [INDEX] [PICTURE.svg]')

const index = await Index.open(place)
const { added, removed, failed } = await index.scan(music)
console.log(`${index.size} tracks; ${added.length} new, ${removed.length} gone, ${failed.length} not readable`)
const audio = await AudioBuffer.read(excerpt)
const found = await index.query(audio, { limit: 3 })
for (const m of found) {
  console.log(
    `${m.id}: score ${m.score.toFixed(1)}, ${m.queryStartS.toFixed(1)} to ${m.queryEndS.toFixed(1)} s of the excerpt are the track ` +
      `from ${m.trackStartS.toFixed(1)} s on, pitch x ${m.pitchFactor.toFixed(3)}, tempo x ${m.tempoFactor.toFixed(3)}`,
  )
}
if (found.length === 0) console.log('none of them')
else if (picture !== undefined) await writeFile(picture, await index.matchSvg(audio, found[0]))
index.close()
