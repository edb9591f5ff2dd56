// Long calls: abort, progress, panics. The hook `testWait` stands for any long call; mastering runs through the same door.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import test from 'node:test'
import { SonicForgeError } from '../lib/index.js'
import { run } from '../lib/run.js'
import { binding, sleep } from './support.js'

const wait = (ms, options = {}, how) => run(options, (job) => binding.testWait(job, ms, false), how)

const rejection = async (promise) => {
  const begin = performance.now()
  try {
    await promise
  } catch (error) {
    return { error, ms: performance.now() - begin }
  }
  throw new assert.AssertionError({ message: 'expected a rejection' })
}

test('a call without options resolves', async () => {
  assert.equal(await wait(1), 'waited')
})

test('a signal that is already aborted starts nothing', async () => {
  let started = false
  const promise = run({ signal: AbortSignal.abort(new Error('mine')) }, () => (started = true))
  assert.equal((await rejection(promise)).error.message, 'mine')
  assert.equal(started, false)
})

for (const settled of [false, true]) {
  test(`abort during the work is prompt (settled: ${settled})`, async () => {
    const controller = new AbortController()
    const promise = wait(10_000, { signal: controller.signal }, { settled })
    await sleep(50)
    const begin = performance.now()
    controller.abort()
    const { error } = await rejection(promise)
    assert.equal(error.name, 'AbortError')
    assert.equal(error, controller.signal.reason)
    assert.ok(performance.now() - begin < 100, `${performance.now() - begin} ms`)
  })
}

test('AbortSignal.timeout stops the work', async () => {
  const { error, ms } = await rejection(wait(10_000, { signal: AbortSignal.timeout(60) }))
  assert.equal(error.name, 'TimeoutError')
  assert.ok(ms < 400, `${ms} ms`)
})

test('the native work really stops', async () => {
  const controller = new AbortController()
  let native
  const promise = run({ signal: controller.signal }, (job) => (native = binding.testWait(job, 10_000, false)))
  await sleep(30)
  controller.abort()
  await rejection(promise)
  assert.equal((await rejection(native)).error.code, 'SF_CANCELLED')
})

test('onabort of the user is left alone and our listener goes', async () => {
  const controller = new AbortController()
  let heard = 0
  controller.signal.onabort = () => (heard += 1)
  const before = getEventListeners(controller.signal, 'abort').length
  await wait(20, { signal: controller.signal })
  assert.equal(getEventListeners(controller.signal, 'abort').length, before)
  controller.abort()
  assert.equal(heard, 1)
})

test('one signal stops many calls', async () => {
  const controller = new AbortController()
  const warnings = []
  process.on('warning', (warning) => warnings.push(warning))
  const calls = Array.from({ length: 12 }, () => rejection(wait(10_000, { signal: controller.signal })))
  await sleep(20)
  controller.abort()
  for (const { error } of await Promise.all(calls)) assert.equal(error.name, 'AbortError')
  assert.deepEqual(warnings, [])
})

test('a call that is done although it was aborted stands when it writes files', async () => {
  const controller = new AbortController()
  const promise = run({ signal: controller.signal }, () => sleep(30).then(() => 'written'), { settled: true })
  controller.abort()
  assert.equal(await promise, 'written')
})

test('progress arrives in order, before the result, and never after', async () => {
  const heard = []
  await wait(300, { onProgress: (step) => heard.push(step) })
  const count = heard.length
  assert.ok(count >= 3, `${count} steps`)
  assert.ok(heard.every(({ stage }) => stage === 'wait'))
  assert.ok(heard.every(({ fraction }, i) => fraction <= 1 && (i === 0 || fraction >= heard[i - 1].fraction)))
  assert.equal(heard.at(-1).fraction, 1)
  await sleep(80)
  assert.equal(heard.length, count)
})

test('a callback that throws cancels the call and is its rejection', async () => {
  const fault = new Error('from the callback')
  let calls = 0
  let native
  const onProgress = () => {
    calls += 1
    throw fault
  }
  const { error, ms } = await rejection(run({ onProgress }, (job) => (native = binding.testWait(job, 10_000, false))))
  assert.equal(error, fault)
  assert.ok(ms < 400, `${ms} ms`)
  assert.equal((await rejection(native)).error.code, 'SF_CANCELLED')
  assert.equal(calls, 1)
})

test('a callback that rejects does the same', async () => {
  const fault = new Error('from the async callback')
  const onProgress = async () => {
    throw fault
  }
  assert.equal((await rejection(wait(10_000, { onProgress }))).error, fault)
})

test('a callback may abort', async () => {
  const controller = new AbortController()
  let calls = 0
  const onProgress = () => {
    calls += 1
    controller.abort()
  }
  assert.equal((await rejection(wait(10_000, { signal: controller.signal, onProgress }))).error.name, 'AbortError')
  assert.equal(calls, 1)
})

test('no progress after an abort, although the call still stops', async () => {
  const controller = new AbortController()
  let late = 0
  const onProgress = () => (late += controller.signal.aborted ? 1 : 0)
  const promise = wait(10_000, { signal: controller.signal, onProgress }, { settled: true })
  await sleep(100)
  controller.abort()
  await rejection(promise)
  assert.equal(late, 0)
})

test('what is not a signal or a callback is a TypeError', async () => {
  assert.match((await rejection(wait(1, { signal: {} }))).error.message, /signal is an object; expected an AbortSignal/)
  assert.match((await rejection(wait(1, { onProgress: 3 }))).error.message, /onProgress is a number \(3\); expected a function/)
})

test('a panic in a task is SF_INTERNAL and the process lives', async () => {
  const { error } = await rejection(run({}, (job) => binding.testWait(job, 1, true)))
  assert.ok(error instanceof SonicForgeError)
  assert.equal(error.code, 'SF_INTERNAL')
  assert.match(error.message, /a test asked for this panic/)
  assert.equal(await wait(1), 'waited')
})

test('a panic in a synchronous call is SF_INTERNAL and the process lives', async () => {
  assert.throws(() => binding.testPanic(), { code: 'SF_INTERNAL', message: /please report it: a test asked/ })
})
