// Long calls: a Promise with an AbortSignal and a progress callback.

import { binding } from './binding.js'
import { kind, options as checkOptions } from './check.js'
import { translate, typeError } from './errors.js'

/** The options that every long call takes. */
export const CALL = ['signal', 'onProgress']

/** Takes the options of the call from the others. */
export function split(options, known) {
  const { signal, onProgress, ...rest } = checkOptions(options, [...known, ...CALL])
  return [rest, { signal, onProgress }]
}

/** News are fetched this often, in ms. */
const FETCH_EVERY = 30

/**
 * Runs `begin(job)`, which starts the work and returns its promise.
 *
 * The native side is never handed a callback: it collects its news, and we fetch them. So nothing the callback does, not even
 * throwing, happens outside this call, and there are no late events.
 *
 * On abort the promise rejects with `signal.reason` at once and the work stops at its next step. With `settled: true` it waits
 * for the work to stop, at most some 50 ms, so that a call that writes files leaves none behind when it rejects; if the work
 * was done all the same, its result stands.
 */
export async function run({ signal, onProgress }, begin, { settled = false } = {}) {
  checkCall({ signal, onProgress })
  signal?.throwIfAborted()
  const job = new binding.Job(onProgress !== undefined)
  let timer
  let onAbort
  try {
    return await new Promise((resolve, reject) => {
      let over = false
      const fail = (error) => {
        over = true
        job.cancel()
        reject(error)
      }
      const fetch = () => {
        for (const step of onProgress && !over ? job.news() : []) {
          if (over) return
          try {
            onProgress(step)?.then?.(undefined, fail)
          } catch (error) {
            fail(error)
          }
        }
      }
      onAbort = () => {
        job.cancel()
        if (settled) onProgress = undefined
        else fail(signal.reason)
      }
      listen(signal, onAbort)
      begin(job).then(
        (value) => {
          fetch()
          resolve(value)
        },
        (error) => reject(error?.code === 'SF_CANCELLED' && signal?.aborted ? signal.reason : translate(error)),
      )
      if (onProgress) timer = setInterval(fetch, FETCH_EVERY)
    })
  } catch (error) {
    throw translate(error)
  } finally {
    clearInterval(timer)
    unlisten(signal, onAbort)
  }
}

/** Runs work of the host's own: its promise, unless the signal aborts before. */
export async function orAborted(signal, work) {
  signal?.throwIfAborted()
  let onAbort
  try {
    return await new Promise((resolve, reject) => {
      onAbort = () => reject(signal.reason)
      listen(signal, onAbort)
      Promise.resolve(work()).then(resolve, reject)
    })
  } finally {
    unlisten(signal, onAbort)
  }
}

/** Checks the options that every long call takes. */
export function checkCall({ signal, onProgress }) {
  if (signal !== undefined && !(typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function')) {
    throw typeError(`signal is ${kind(signal)}; expected an AbortSignal`)
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw typeError(`onProgress is ${kind(onProgress)}; expected a function`)
  }
}

// One listener per signal, however many calls it may stop: Node warns when there are more than ten.
const listeners = new WeakMap()

function listen(signal, callback) {
  if (!signal) return
  let entry = listeners.get(signal)
  if (!entry) {
    const callbacks = new Set()
    entry = { callbacks, onAbort: () => callbacks.forEach((each) => each()) }
    listeners.set(signal, entry)
    signal.addEventListener('abort', entry.onAbort, { once: true })
  }
  entry.callbacks.add(callback)
}

function unlisten(signal, callback) {
  const entry = listeners.get(signal)
  if (!entry?.callbacks.delete(callback) || entry.callbacks.size > 0) return
  listeners.delete(signal)
  signal.removeEventListener('abort', entry.onAbort)
}
