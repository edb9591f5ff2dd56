// Results must not pile up: neither those that are copied nor those whose memory JavaScript takes over.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { here } from './support.js'

// In a process of its own, with a collector that can be called.
function residentGrowth(body) {
  const script = `
    const { AudioBuffer, MusicGen, analyze, testing } = await import(${JSON.stringify(here('../lib/index.js').href)})
    const once = async () => { ${body} }
    const settle = async () => { for (let i = 0; i < 5; i += 1) { gc(); await new Promise((r) => setTimeout(r, 5)) } }
    for (let i = 0; i < 20; i += 1) await once()
    await settle()
    const before = process.memoryUsage.rss()
    for (let i = 0; i < 300; i += 1) await once()
    await settle()
    console.log((process.memoryUsage.rss() - before) / 2 ** 20)`
  const out = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { encoding: 'utf8' })
  return Number(out)
}

const model = JSON.stringify(fileURLToPath(here('../../sonicforge-core/tests/fixtures/generate/mono')))

const cases = {
  'small results, copied': 'await testing.signal("noise", { levelDbfs: -6, seed: 1, seconds: 0.5 }).resample(44_100)',
  'large results, external': `globalThis.big ??= await testing.signal('silence', { seconds: 4 }).writeBytes({ container: 'wav', sampleFormat: 'int16' })
    await AudioBuffer.readBytes(big)`,
  'models, collected as they go': `await MusicGen.load(${model}, { threads: 1 })
    gc()`,
  'streams and codes': `globalThis.model ??= await MusicGen.load(${model}, { threads: 1 })
    for await (const chunk of globalThis.model.stream('piano', { seconds: 0.2 })) await globalThis.model.encodeAudio(chunk)
    await globalThis.model.generateCodes('piano', { seconds: 0.1 })`,
  'synchronous results': 'testing.signal("silence", { seconds: 2 }).toMono()',
}
for (const [name, body] of Object.entries(cases)) {
  test(name, () => {
    const mib = residentGrowth(body)
    assert.ok(mib < 40, `${mib.toFixed(1)} MiB more after 300 calls`)
  })
}
