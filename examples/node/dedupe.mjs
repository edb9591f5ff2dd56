// Which files of a folder are one work?  node examples/node/dedupe.mjs MUSIC [INDEX] [REPORT.json]
// MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given).

import { writeFile } from 'node:fs/promises'
import { Index } from '../../sonicforge-node/lib/index.js' // in your own project: from 'sonicforge'

const [music, place = 'index', file] = process.argv.slice(2)
if (music === undefined) throw new Error('usage: dedupe.mjs MUSIC [INDEX] [REPORT.json]')

const index = await Index.open(place)
for (const [name, why] of (await index.scan(music)).failed) console.error(`not readable: ${name}: ${why}`)
const report = await index.duplicates()
console.log(report.toTable())
if (file !== undefined) await writeFile(file, report.toJson())
index.close()
