// JSON-shaped values: snake_case in the core and in files, camelCase here. Only keys change, never values.

import { rangeError, typeError } from './errors.js'

const camelKeys = new Map()
const snakeKeys = new Map()

function cached(keys, key, make) {
  let name = keys.get(key)
  if (name === undefined) keys.set(key, (name = make(key)))
  return name
}

const camelKey = (key) => cached(camelKeys, key, (k) => k.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase()))

/** camelCase to snake_case, for one key. */
export const snakeKey = (key) => cached(snakeKeys, key, (k) => k.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`))

const isObject = (value) => typeof value === 'object' && value !== null

/** The same value with camelCase keys, all the way down. */
export function camel(value) {
  if (!isObject(value)) return value
  if (Array.isArray(value)) return value.some(isObject) ? value.map(camel) : value
  const out = {}
  for (const key of Object.keys(value)) out[camelKey(key)] = camel(value[key])
  return out
}

/** The same value with snake_case keys, all the way down; numbers must be finite (JSON has no others). */
export function snake(value, name = 'value') {
  if (typeof value === 'number' && !Number.isFinite(value)) throw rangeError(`${name} is ${value}; expected a finite number`)
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') {
    throw typeError(`${name} is a ${typeof value}; expected a number, string, boolean, array or object`)
  }
  if (typeof value?.toJSON === 'function') return snake(value.toJSON(), name)
  if (!isObject(value)) return value
  if (ArrayBuffer.isView(value)) return Array.from(value, (x, i) => snake(x, `${name}[${i}]`))
  if (Array.isArray(value)) return value.map((x, i) => snake(x, `${name}[${i}]`))
  const out = {}
  for (const key of Object.keys(value)) out[snakeKey(key)] = snake(value[key], `${name}.${key}`)
  return out
}

/** A value of ours as the JSON text that the core reads. */
export const toCore = (value, name) => JSON.stringify(snake(value, name))

/** The JSON text of the core as a value of ours. */
export const fromCore = (text) => camel(JSON.parse(text))
