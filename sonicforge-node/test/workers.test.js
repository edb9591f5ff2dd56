// worker_threads: load, work and exit, five times over; the last one is killed while it works.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Worker } from 'node:worker_threads'
import { here, sleep } from './support.js'

const work = `
  const { parentPort, workerData } = require('node:worker_threads')
  import(workerData).then(async ({ testing, AudioBuffer }) => {
    const music = testing.signal('music', { seed: 1, seconds: 0.5 })
    const bytes = await music.writeBytes({ container: 'wav', sampleFormat: 'float32' })
    const again = await AudioBuffer.readBytes(bytes)
    parentPort.postMessage(again.frames)
  })`

const exit = (worker) => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
const message = (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))

test('five workers, one after the other', async () => {
  for (let i = 0; i < 5; i += 1) {
    const worker = new Worker(work, { eval: true, workerData: here('../lib/index.js').href })
    const [frames, code] = await Promise.all([message(worker), exit(worker)])
    assert.equal(frames, 24_000)
    assert.equal(code, 0)
  }
})

test('a worker that is terminated in the middle of a call', async () => {
  const busy = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData).then(({ binding }) => {
      binding.testWait(new binding.Job(true), 400, false)
      parentPort.postMessage('started')
    })`
  const worker = new Worker(busy, { eval: true, workerData: here('../lib/binding.js').href })
  await message(worker)
  await worker.terminate()
  await sleep(20)
})
