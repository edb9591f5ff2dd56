// One class for everything the library itself refuses; argument faults that can be seen from JavaScript are a TypeError or a
// RangeError. All of them carry a `code`.

/** An error of the library. `code` is stable: SF_INVALID_ARGUMENT SF_IO SF_FORMAT SF_MODEL SF_UNSUPPORTED SF_STORE SF_CANCELLED SF_INTERNAL. */
export class SonicForgeError extends Error {
  constructor(message, code, options) {
    super(message, options)
    this.code = code
  }

  get name() {
    return 'SonicForgeError'
  }
}

/** The error of the binding as the one that users see; anything else stays what it is. */
export function translate(error) {
  const ours = typeof error?.code === 'string' && error.code.startsWith('SF_')
  if (!ours || error instanceof SonicForgeError || error instanceof TypeError || error instanceof RangeError) return error
  const spoken = error.code === 'SF_INVALID_ARGUMENT' || error.code === 'SF_UNSUPPORTED'
  return new SonicForgeError(spoken ? inCamelCase(error.message) : error.message, error.code)
}

/** Calls into the binding; its errors come out as ours. */
export function sync(call) {
  try {
    return call()
  } catch (error) {
    throw translate(error)
  }
}

export function typeError(message) {
  return Object.assign(new TypeError(message), { code: 'SF_INVALID_ARGUMENT' })
}

export function rangeError(message) {
  return Object.assign(new RangeError(message), { code: 'SF_INVALID_ARGUMENT' })
}

// The core spells its parameters and methods in snake_case. Values, such as `high_shelf`, are spelled alike in all languages.
const PARAMETER =
  /\b(?:max_share|control_share|refresh_rewards|p_best|expected_loss|at_least|at_most|top_k|top_p|token_ids|guidance_scale|continue_from|continue_codes)\b|\b[a-z]+(?:_[a-z0-9]+)*_(?:hz|db|dbtp|dbfs|lufs|lu|ms|s|percent|rate|format|frames|stereo|mono)\b/g

function inCamelCase(message) {
  // "unknown field `a_b`, expected one of `c_d`, `e_f`": here every quoted word is a key.
  const words = message.includes('unknown field') ? /`[a-z0-9_]+`/g : PARAMETER
  return message.replace(words, (word) => word.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase()))
}
