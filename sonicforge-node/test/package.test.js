// What a user installs: one version everywhere, `require`, types, and nothing generated in the repository.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import * as sonicforge from '../lib/index.js'
import { here, readJson, require } from './support.js'

test('one version: Cargo, package.json, package-lock.json and the compiled part', () => {
  const cargo = /\[workspace\.package\]\s+version = "([^"]+)"/.exec(readFileSync(here('../../Cargo.toml'), 'utf8'))[1]
  assert.equal(sonicforge.version, cargo)
  assert.equal(readJson('../package.json').version, cargo)
  assert.equal(readJson('../package-lock.json').version, cargo)
})

test('require() gives the same module', () => {
  const required = require('sonicforge')
  assert.equal(required.AudioBuffer, sonicforge.AudioBuffer)
  assert.deepEqual(Object.keys(required).sort(), Object.keys(sonicforge).sort())
})

test('the compiled part is not exported', () => {
  assert.throws(() => require('sonicforge/lib/binding.cjs'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
})

test('the declarations name every export and no other', () => {
  const text = readFileSync(here('../lib/index.d.ts'), 'utf8')
  const declared = [...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|function|const|namespace) (\w+)/gm)].map((m) => m[1])
  assert.deepEqual([...new Set(declared)].sort(), Object.keys(sonicforge).sort())
})

test('the lock file names no registry', () => {
  assert.doesNotMatch(readFileSync(here('../package-lock.json'), 'utf8'), /"resolved"/)
})

test('the package carries what it needs and nothing compiled', () => {
  const out = execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: here('..'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], shell: process.platform === 'win32' })
  const files = JSON.parse(out)[0].files.map((file) => file.path)
  for (const name of ['package.json', 'lib/index.js', 'lib/index.d.ts', 'lib/binding.cjs', 'lib/binding.js']) assert.ok(files.includes(name), name)
  assert.ok(files.every((name) => !name.endsWith('.node') && !name.startsWith('test/') && !name.startsWith('src/')), files.join(' '))
})

test('importing the package does nothing to the process', () => {
  const before = process.listeners('exit').length
  assert.ok(before < 3)
})
