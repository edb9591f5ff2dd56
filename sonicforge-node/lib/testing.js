// Named deterministic signals: the same description gives the same samples in Rust, Python and Node.

import { fromRaw } from './audio.js'
import { binding } from './binding.js'
import * as check from './check.js'
import { sync } from './errors.js'
import { toCore } from './names.js'

/** `seconds` of a named signal. */
export function signal(kind, { sampleRate = 48_000, channels = 2, seconds = 1, ...parameters } = {}) {
  check.text('kind', kind)
  check.whole('sampleRate', sampleRate)
  check.whole('channels', channels)
  check.number('seconds', seconds)
  const description = toCore({ kind, ...parameters }, 'signal')
  return fromRaw(sync(() => binding.signal(description, sampleRate, channels, seconds)))
}
