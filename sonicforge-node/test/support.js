// What several tests need.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AudioBuffer } from '../lib/index.js'

/** The compiled part itself, for its test hooks. */
export const { binding } = await import('../lib/binding.js')

export const here = (path) => new URL(path, import.meta.url)
export const readJson = (path) => JSON.parse(readFileSync(here(path), 'utf8'))
export const require = createRequire(import.meta.url)

/** A folder that goes with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'sonicforge-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Notes at random times and heights; every seed is another piece. */
export function melody(seed, { seconds = 30, speed = 1 } = {}) {
  const rate = 22_050
  let state = BigInt(seed * 7_919 + 1)
  const random = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
    return Number(state >> 11n) / 2 ** 53
  }
  const out = new Float32Array(Math.floor((seconds / speed) * rate) + rate)
  for (let at = 0; at < seconds; at += 0.06 + 0.24 * random()) {
    const hz = 180 * 2 ** (Math.floor(random() * 44) / 12)
    const start = Math.floor((at / speed) * rate)
    for (let n = 0; n < rate; n += 1) {
      const t = (n / rate) * speed
      out[start + n] += Math.exp(-4 * t) * 0.2 * Math.sin(2 * Math.PI * hz * t)
    }
  }
  return AudioBuffer.fromChannels([out], { sampleRate: rate })
}
