// What can be seen to be wrong before the binding is asked, said in words that help.

import { isSharedArrayBuffer } from 'node:util/types'
import { fileURLToPath } from 'node:url'
import { rangeError, typeError } from './errors.js'

/** What a value is, for a sentence. */
export function kind(value) {
  if (value === null) return 'null'
  if (value === undefined) return 'undefined'
  if (typeof value === 'object') {
    const name = value.constructor?.name
    return name && name !== 'Object' ? `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}` : 'an object'
  }
  return `a ${typeof value} (${String(value)})`
}

function notShared(name, array) {
  if (isSharedArrayBuffer(array.buffer)) {
    throw typeError(`${name} lies in a SharedArrayBuffer, which other threads may write to; pass ${name}.slice()`)
  }
  return array
}

/** A Float32Array that is nobody else's. */
export function floats(name, value) {
  if (value instanceof Float32Array) return notShared(name, value)
  if (Buffer.isBuffer(value)) {
    throw typeError(
      `${name} is a Buffer; expected a Float32Array. The bytes of a file go to AudioBuffer.readBytes; raw 32-bit floats can be ` +
        `seen as new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)`,
    )
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw typeError(`${name} is ${kind(value)}; expected a Float32Array: pass Float32Array.from(${name})`)
  }
  if (value?.samples instanceof Float32Array) {
    throw typeError(`${name} is ${kind(value)}; expected a Float32Array: pass its samples or one channel(i)`)
  }
  throw typeError(`${name} is ${kind(value)}; expected a Float32Array`)
}

/** One Float32Array per channel, as an array. */
export function channelArrays(name, value) {
  if (!Array.isArray(value)) {
    throw typeError(`${name} is ${kind(value)}; expected an array with one Float32Array per channel, as in [left, right]`)
  }
  for (let i = 0; i < value.length; i += 1) floats(`${name}[${i}]`, value[i])
  return value
}

/** The bytes of a file. */
export function bytes(name, value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (value instanceof Uint8Array) return notShared(name, value)
  throw typeError(`${name} is ${kind(value)}; expected a Buffer, a Uint8Array or an ArrayBuffer with the bytes of a file`)
}

/** A path as a string; `file:` URLs are welcome. */
export function path(name, value) {
  if (value instanceof URL) return fileURLToPath(value)
  if (typeof value !== 'string') throw typeError(`${name} is ${kind(value)}; expected a path (a string or a file: URL)`)
  if (value === '' || value.includes('\0')) throw rangeError(`${name} is ${JSON.stringify(value)}; expected the path of a file`)
  return value
}

/** A finite number. */
export function number(name, value) {
  if (typeof value !== 'number') throw typeError(`${name} is ${kind(value)}; expected a number`)
  if (!Number.isFinite(value)) throw rangeError(`${name} is ${value}; expected a finite number`)
  return value
}

/** A whole number from 0 (or `low`) to 2^32 − 1 (or `high`). */
export function whole(name, value, low = 0, high = 0xffffffff) {
  number(name, value)
  if (!Number.isInteger(value) || value < low || value > high) {
    throw rangeError(`${name} is ${value}; expected a whole number from ${low} to ${high}`)
  }
  return value
}

/** A string. */
export function text(name, value) {
  if (typeof value !== 'string') throw typeError(`${name} is ${kind(value)}; expected a string`)
  return value
}

/** The options object of a call: an object with no other keys than these. */
export function options(value, known) {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw typeError(`options is ${kind(value)}; expected an object such as { ${known[0]}: … }`)
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw typeError(`unknown option ${JSON.stringify(key)}; expected one of ${known.join(', ')}`)
  }
  return value
}
