// What several tests need.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
