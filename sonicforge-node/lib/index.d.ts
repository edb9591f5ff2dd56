/**
 * SonicForge: audio files in and out, measurement, and mastering to a loudness target.
 *
 * ```js
 * import { AudioBuffer, master } from 'sonicforge'
 *
 * const { audio, report } = await master(await AudioBuffer.read('song.flac'), { target: 'spotify' })
 * await audio.write('song-mastered.wav')
 * console.log(report.summary())
 * ```
 *
 * Argument faults are a `TypeError` or `RangeError`, everything else a {@link SonicForgeError}; all carry a `code`.
 * @packageDocumentation
 */

/** The version of the library, the same in all three languages. */
export const version: string

/** The codes of the library's errors. */
export type ErrorCode =
  | 'SF_INVALID_ARGUMENT'
  | 'SF_IO'
  | 'SF_FORMAT'
  | 'SF_MODEL'
  | 'SF_UNSUPPORTED'
  | 'SF_STORE'
  | 'SF_CANCELLED'
  | 'SF_INTERNAL'

/** An error of the library. */
export class SonicForgeError extends Error {
  constructor(message: string, code: ErrorCode, options?: ErrorOptions)
  readonly name: 'SonicForgeError'
  /** Stable, for programs; the message is for people. */
  readonly code: ErrorCode
}

/** One piece of news of a long call. */
export interface Step {
  /** What is being done: `"analyze"`, `"measure"`, `"render"` … */
  stage: string
  /** Share of the whole call that is done, 0 to 1, never falling. */
  fraction: number
}

/** What every long call takes. Long calls run on libuv's pool (`UV_THREADPOOL_SIZE`, 4 unless set). */
export interface CallOptions {
  /** Stops the call: its promise rejects with `signal.reason`. */
  signal?: AbortSignal | undefined
  /** Hears how far the call is, some 30 times a second at most. What it throws stops the call and is its rejection. */
  onProgress?: ((step: Step) => unknown) | undefined
}

/** What a sound is made of. */
export interface Format {
  /** In Hz, 8 000 to 384 000. */
  sampleRate: number
  /** 1 to 8. */
  channels: number
}

/** How a file is written. */
export interface WriteOptions extends CallOptions {
  /** Told by the extension of the path unless given. */
  container?: 'wav' | 'flac' | undefined
  /** `"int24"` unless given; FLAC takes `"int16"` and `"int24"`. */
  sampleFormat?: 'int16' | 'int24' | 'float32' | undefined
  /** Noise that hides the rounding when bits are dropped; `"tpdf"` unless given. */
  dither?: 'none' | 'tpdf' | 'shaped' | undefined
  /** Of the dither: the same seed gives the same file. 0 unless given. */
  seed?: number | undefined
  /** A file whose tags and cover art are copied. */
  tagsFrom?: string | URL | undefined
}

/** What a file says about itself. */
export interface FileInfo {
  sampleRate: number
  channels: number
  /** `null` when only decoding would tell. */
  frames: number | null
  /** `"wav"`, `"flac"` … */
  format: string
  codec: string
  bitsPerSample: number | null
}

/** Reads what a file says about itself, without decoding it. */
export function info(path: string | URL, options?: CallOptions): Promise<FileInfo>

/**
 * Planar float samples, 1.0 being full scale, and their sample rate. The samples lie in one Float32Array, channel after
 * channel. Every method that edits gives back a new buffer.
 */
export class AudioBuffer {
  /** Takes planar samples without copying them: the buffer and the array share their memory. */
  constructor(samples: Float32Array, options: { sampleRate: number; channels?: number | undefined })

  /** Decodes a file: WAV, AIFF, FLAC, MP3, Ogg Vorbis, Opus, AAC, ALAC. */
  static read(path: string | URL, options?: CallOptions): Promise<AudioBuffer>
  /** Decodes a file in memory; the format is told by its content. */
  static readBytes(bytes: Uint8Array | ArrayBuffer, options?: CallOptions): Promise<AudioBuffer>
  /** Takes planar samples without copying them. */
  static fromPlanar(samples: Float32Array, options: { sampleRate: number; channels?: number | undefined }): AudioBuffer
  /** Copies samples that lie frame after frame (L R L R …). */
  static fromInterleaved(samples: Float32Array, options: Format): AudioBuffer
  /** Copies one array per channel; all must be of one length. */
  static fromChannels(channels: readonly Float32Array[], options: { sampleRate: number }): AudioBuffer

  /** All samples, channel after channel. Not a copy: what is written into it changes the buffer. */
  readonly samples: Float32Array
  /** Frames per second, in Hz. */
  readonly sampleRate: number
  readonly channels: number
  /** A frame is one sample of every channel. */
  readonly frames: number
  /** Length in seconds. */
  readonly seconds: number

  /** One channel. Not a copy. */
  channel(index: number): Float32Array
  /** A copy of the samples, frame after frame. */
  interleaved(): Float32Array
  /** A buffer with samples of its own. */
  copy(): AudioBuffer

  /** Writes a WAV or FLAC file under a temporary name and renames it when it is whole. */
  write(path: string | URL, options?: WriteOptions): Promise<void>
  /** The bytes of a WAV or FLAC file. */
  writeBytes(options: WriteOptions & { container: 'wav' | 'flac' }): Promise<Buffer>

  /** The same sound at another sample rate in Hz. */
  resample(sampleRate: number, options?: CallOptions): Promise<AudioBuffer>
  /** The part from `startS` to `endS` (the end unless given), in seconds. */
  trim(startS: number, endS?: number): AudioBuffer
  /** Rises from silence over the first `seconds`. */
  fadeIn(seconds: number): AudioBuffer
  /** Falls to silence over the last `seconds`. */
  fadeOut(seconds: number): AudioBuffer
  /** The sum with `other`, which is changed by `gainDb` (0 unless given). */
  mix(other: AudioBuffer, gainDb?: number): AudioBuffer
  toMono(): AudioBuffer
  toStereo(): AudioBuffer
  applyGain(gainDb: number): AudioBuffer
  /** The loudest sample at `dbfs` (−1 unless given). */
  normalizePeak(dbfs?: number): AudioBuffer
}

/** A result or a plan: plain fields in camelCase, and the JSON text that Rust, Python and files share. */
declare abstract class Document {
  /** The JSON text that the other languages read and write: keys in snake_case. */
  toJson(): string
}

/** The level of one band of a spectrum. */
export interface BandLevel {
  /** Nominal centre in Hz. */
  centerHz: number
  levelDb: number
}

/** What was measured of one sound; `null` where there was nothing to measure (silence, too short). */
export class Analysis extends Document {
  static fromJson(text: string): Analysis
  readonly schema: number
  readonly sampleRate: number
  readonly channels: number
  readonly frames: number
  readonly seconds: number
  /** Gated programme loudness of BS.1770-4. */
  readonly integratedLufs: number | null
  readonly momentaryMaxLufs: number | null
  readonly shortTermMaxLufs: number | null
  readonly loudnessRangeLu: number | null
  readonly truePeakDbtp: number | null
  readonly samplePeakDbfs: number | null
  readonly rmsDbfs: number | null
  /** True peak minus integrated loudness. */
  readonly plrLu: number | null
  /** Sample peak minus RMS. */
  readonly crestDb: number | null
  readonly thirdOctave: BandLevel[]
  /** The same of the side signal; empty unless there are two channels. */
  readonly sideThirdOctave: BandLevel[]
  readonly centroidHz: number | null
  /** Of left and right, −1 to 1. */
  readonly correlation: number | null
  /** Side energy as a share of all, 0 (mono) to 1. */
  readonly width: number | null
  readonly dcOffset: number[]
  readonly clippedSamples: number
  /** Samples that were NaN or infinite. */
  readonly nonFiniteSamples: number
  readonly timeline: Timeline
}

/** Values at equal steps. */
export interface Timeline {
  /** Length of a step in seconds. */
  stepS: number
  momentaryLufs: (number | null)[]
  shortTermLufs: (number | null)[]
  minimum: number[]
  maximum: number[]
}

/** Measures a whole sound. */
export function analyze(audio: AudioBuffer, options?: CallOptions): Promise<Analysis>

/** What a meter on a screen shows. */
export interface Live {
  /** Frames measured so far; some hundred may be waiting. */
  frames: number
  /** Of the last 400 ms. */
  momentaryLufs: number | null
  /** Of the last 3 s. */
  shortTermLufs: number | null
  integratedLufs: number | null
  truePeakDbtp: number | null
}

/** Measures block by block; the result equals that of {@link analyze} to the bit, whatever the block size. */
export class Analyzer {
  constructor(options: Format)
  /** Listens to the next frames: a buffer, or one Float32Array per channel. */
  push(block: AudioBuffer | readonly Float32Array[]): void
  /** What can be said so far; ask some ten times a second. */
  current(): Live
  /** The measurement. The analyzer is used up. */
  finish(): Analysis
}

/** Named deterministic signals: the same description gives the same samples in Rust, Python and Node. */
export namespace testing {
  interface SignalOptions {
    /** 48 000 unless given. */
    sampleRate?: number
    /** 2 unless given. */
    channels?: number
    /** 1 unless given. */
    seconds?: number
  }
  function signal(kind: 'silence', options?: SignalOptions): AudioBuffer
  function signal(kind: 'sine', options: SignalOptions & { frequencyHz: number; levelDbfs: number; phaseDeg?: number }): AudioBuffer
  function signal(kind: 'sweep', options: SignalOptions & { fromHz: number; toHz: number; levelDbfs: number }): AudioBuffer
  function signal(kind: 'noise', options: SignalOptions & { levelDbfs: number; seed: number }): AudioBuffer
  function signal(kind: 'impulse', options: SignalOptions & { at: number }): AudioBuffer
  function signal(kind: 'constant', options: SignalOptions & { value: number }): AudioBuffer
  function signal(kind: 'music', options: SignalOptions & { seed: number }): AudioBuffer
}

export {}
