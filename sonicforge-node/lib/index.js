// SonicForge: audio files in and out, measurement, mastering to a loudness target, fingerprints, music from text, and prompts
// that learn.
//
// The public face. What is compiled is only reached from here; every argument is looked at before it crosses the border.

import { binding } from './binding.js'

export { Analysis, Analyzer, analyze } from './analyze.js'
export { AudioBuffer, info } from './audio.js'
export { SonicForgeError } from './errors.js'
export {
  Chromaprint,
  DuplicateReport,
  Fingerprint,
  Fingerprinter,
  Index,
  acoustidLookup,
  acoustidSubmit,
  fingerprint,
  fingerprintFile,
  mergeTopk,
} from './fingerprint.js'
export { Generator, MusicGen, quantize } from './generate.js'
export { Plan, Report, Target, gainMatched, master, masterFile, plan } from './master.js'
export { PromptOptimizer, PromptReport, Space, evaluatePolicy } from './optimize.js'
export {
  DeEsser,
  Equalizer,
  Exciter,
  Gain,
  Glue,
  Limiter,
  MasteringChain,
  Multiband,
  Preset,
  Widener,
} from './processors.js'
export { Reader, Tags, Writer, tags } from './stream.js'
export * as testing from './testing.js'

/** The version of the library, the same in all three languages. */
export const version = binding.version()
