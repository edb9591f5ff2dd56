// Every JavaScript block of the guide and of the READMEs runs, each as a module of its own, in a folder with a song and
// two (tiny) models in it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AudioBuffer, testing } from '../lib/index.js'
import { folder, here, melody } from './support.js'

const docs = here('../../docs/')
const pages = [here('../../README.md'), here('../README.md')].concat(
  readdirSync(docs).filter((name) => name.endsWith('.md')).sort().map((name) => new URL(name, docs)),
)
const library = here('../lib/index.js').href
const run = promisify(execFile)

function blocks(page) {
  const text = readFileSync(page, 'utf8')
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => {
    // Empty lines before it, so that an error names the line of the page.
    const line = text.slice(0, match.index).split('\n').length
    return { line, code: '\n'.repeat(line) + match[1].replaceAll("from 'sonicforge'", `from '${library}'`) }
  })
}

for (const page of pages) {
  const found = blocks(page)
  if (found.length === 0) continue
  test(`the blocks of ${page.pathname.split('/').slice(-2).join('/')} run`, async (t) => {
    const place = folder(t)
    await testing.signal('music', { seed: 1, seconds: 4 }).write(join(place, 'song.flac'))
    await testing.signal('music', { seed: 2, seconds: 4 }).applyGain(3).write(join(place, 'reference.flac'))
    for (const [name, fixture] of [['musicgen-small', 'mono'], ['musicgen-melody', 'melody']]) {
      const model = fileURLToPath(here(`../../sonicforge-core/tests/fixtures/generate/${fixture}`))
      symlinkSync(model, join(place, name), 'junction')
    }
    for (const { line, code } of found) {
      const file = join(place, `line-${line}.mjs`)
      writeFileSync(file, code)
      await run(process.execPath, [file], { cwd: place }).catch((error) => {
        assert.fail(`${fileURLToPath(page)}:${line}\n${error.stderr ?? error}`)
      })
    }
  })
}

test('there are blocks', () => {
  assert.ok(pages.flatMap(blocks).length >= 20)
})

test('the example that generates runs', async (t) => {
  const place = folder(t)
  const model = fileURLToPath(here('../../sonicforge-core/tests/fixtures/generate/stereo'))
  const example = fileURLToPath(here('../../examples/node/generate.mjs'))
  await run(process.execPath, [example, model, 'fast drums', 'drums.wav', '0.5', '3'], { cwd: place })
  const audio = await AudioBuffer.read(join(place, 'drums.wav'))
  assert.deepEqual([audio.seconds, audio.channels, audio.sampleRate], [0.5, 2, 32_000])
})

test('the example from words to a master runs', async (t) => {
  const place = folder(t)
  const example = fileURLToPath(here('../../examples/node/song.mjs'))
  await run(process.execPath, [example, 'fast techno', 'out/song.wav', '2', '3', '-16'], { cwd: place })
  const [made, raw] = await Promise.all(['song.wav', 'song-raw.flac'].map((name) => AudioBuffer.read(join(place, 'out', name))))
  assert.deepEqual([made.seconds, made.sampleRate, made.channels, raw.seconds], [2, 48_000, 2, 2])
})

test('the examples that identify and find duplicates run', async (t) => {
  const place = folder(t)
  const music = melody(1, { seconds: 40 })
  mkdirSync(join(place, 'music'))
  await music.write(join(place, 'music', 'one.flac'))
  await music.trim(6).write(join(place, 'music', 'cut.flac'))
  await music.trim(12, 22).write(join(place, 'excerpt.wav'))
  const example = (name, ...given) =>
    run(process.execPath, [fileURLToPath(here(`../../examples/node/${name}.mjs`)), 'music', ...given], { cwd: place })
  assert.match((await example('identify', 'excerpt.wav', 'index', 'why.svg')).stdout, /2 tracks; 2 new[^]*score/)
  assert.match((await example('dedupe', 'index', 'report.json')).stdout, /trimmed/)
  assert.match(readFileSync(join(place, 'why.svg'), 'utf8'), /^<svg/)
})
