/**
 * SonicForge: audio files in and out, measurement, mastering to a loudness target, fingerprints, and music from text.
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

/** Decodes a file block by block, so that it need not fit in memory: `for await (const block of await Reader.open(path))`. */
export class Reader {
  private constructor()
  static open(path: string | URL, options?: CallOptions): Promise<Reader>
  readonly info: FileInfo
  /** The next frames (65 536 unless given): fewer at the end of the sound, none after it. */
  read(frames?: number, options?: CallOptions): Promise<AudioBuffer>
  /** Goes back to the first frame. */
  rewind(options?: CallOptions): Promise<void>
  /** Lets go of the file. Iterating does so at the end. */
  close(): Promise<void>
  [Symbol.asyncIterator](): AsyncGenerator<AudioBuffer, void, void>
}

/** Encodes a file block by block. It bears a temporary name until it is finished. */
export class Writer {
  private constructor()
  static create(path: string | URL, options: Format & WriteOptions): Promise<Writer>
  /** Appends the next frames. The block may be written to as soon as this returns. */
  write(block: AudioBuffer | readonly Float32Array[], options?: CallOptions): Promise<void>
  /** Completes the file and gives it its name. */
  finish(): Promise<void>
  /** Throws away what was written. */
  discard(): Promise<void>
}

/** A picture in a file, such as a cover. */
export interface Picture {
  /** What it shows, as ID3 and FLAC number it: 3 is the front cover. */
  kind: number
  mimeType: string
  description: string
  data: Buffer
}

/** Text tags and pictures of a file. Names are those of Vorbis comments, in lower case. */
export class Tags {
  constructor(fields: { texts: [name: string, text: string][]; pictures: Picture[] })
  /** A name may come more than once. */
  texts: [name: string, text: string][]
  pictures: Picture[]
  /** The first text of this name, whatever its case; `null` when there is none. */
  get(name: string): string | null
}

/** Reads the tags of a file. */
export function tags(path: string | URL, options?: CallOptions): Promise<Tags>

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
  /** As a picture: one self-contained SVG. */
  svg(): string
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

/** The algorithms of a {@link Chromaprint}; AcoustID takes `"test2"` only. */
export type ChromaprintPreset = 'test1' | 'test2' | 'test3' | 'test4' | 'test5'

/** AcoustID's fingerprint: 32 bits for each eighth of a second, equal to those of libchromaprint. */
export class Chromaprint {
  /** From words that were kept. */
  constructor(words: Uint32Array, options?: { preset?: ChromaprintPreset | undefined })
  /** Reads the compressed base64 text that {@link encode} or any Chromaprint wrote. */
  static decode(text: string): Chromaprint
  /** The compressed base64 text that AcoustID takes. */
  encode(): string
  /** A copy of the words, one per step. */
  get words(): Uint32Array
  /** The algorithm. */
  get preset(): ChromaprintPreset
  /** One word of 32 bits for the whole sound; similar sounds differ in few bits. */
  simhash(): number
  /** The words of the first seconds, as if the sound had ended there: AcoustID wants the first 120. */
  first(seconds: number): Chromaprint
  /** What JSON has for it: its compressed text. */
  toJSON(): string
}

/** What is remembered of one sound. */
export class Fingerprint {
  /** From the JSON text that any of the three languages wrote. */
  static fromJson(text: string): Fingerprint
  /** The JSON text that all three languages read. */
  toJson(): string
  /** Version of the JSON form. */
  readonly schema: number
  /** Of the sound, in Hz. */
  readonly sampleRate: number
  readonly channels: number
  /** Length of the sound in frames. */
  readonly frames: number
  /** Length of the sound in seconds. */
  readonly seconds: number
  /** Samples that were NaN or infinite. NaN is heard as 0, infinity as full scale. */
  readonly nonFiniteSamples: number
  /** Of sounds that are equal to the bit: 32 hexadecimal digits, when {@link fingerprintFile} was asked for them. */
  readonly pcm: string | null
  readonly chromaprint: Chromaprint
  /** What an {@link Index} keeps, as base64 text. */
  readonly landmarks: string
}

/** A track that sounds in a query. */
export interface Match {
  /** As it was inserted. */
  id: string
  /** Standard deviations above chance, less what the many trials take off. */
  score: number
  /** Where the track begins to sound in the query, in seconds. */
  queryStartS: number
  /** Where it ends, in seconds. */
  queryEndS: number
  /** What is heard at `queryStartS`, in seconds from the beginning of the track. */
  trackStartS: number
  /** How much higher the query is than the track: 1.06 is a semitone. */
  pitchFactor: number
  /** How much faster the query is than the track. */
  tempoFactor: number
}

/** How an {@link Index} looks. */
export interface QueryOptions {
  /** At most this many matches, the best first; 1 unless given. */
  limit?: number | undefined
  /** Matches from this score on. */
  threshold?: number | undefined
  /** Also look in other keys when nothing is found at once, up to this many semitones off, 0 to 3; 3 unless given. */
  maxPitchSemitones?: number | undefined
  /** And at other speeds, up to this many per cent off, 0 to 10; 10 unless given. */
  maxTempoPercent?: number | undefined
}

/** How an {@link Index} is opened. */
export interface IndexOptions {
  /** What an acknowledged change survives: a power cut (`"power"`, the default) or the death of the process only. */
  durability?: 'power' | 'process' | undefined
  /** How long to wait for another process that writes, in seconds; 5 unless given. */
  lockTimeoutS?: number | undefined
  /** A segment is written when the log has this many MiB; 4 unless given. */
  logMib?: number | undefined
  /** Only read, while another process may write. */
  readOnly?: boolean | undefined
  /** Merge segments in a thread of their own (the default), or inside the call that makes it necessary. */
  background?: boolean | undefined
}

/** A track as an index keeps it. */
export interface IndexTrack {
  id: string
  /** Length of the sound in seconds. */
  seconds: number
  /** What was given with it. */
  note: string
  /** Of sounds that are equal to the bit: 32 hexadecimal digits. */
  pcm: string | null
  chromaprint: Chromaprint
  landmarks: string
}

/** How large an index is. */
export interface IndexStats {
  tracks: number
  /** Places of pairs that are kept. */
  postings: number
  segments: number
  /** Bytes of segments and log, on disk or in memory. */
  bytes: number
  /** What was found when it was opened: bytes of the log that were never acknowledged, files that nothing named. */
  recovery: { droppedBytes: number; droppedFiles: string[] }
}

/** What comes into an index and what goes. */
export interface IndexChanges {
  inserts?: Iterable<{ id: string; fingerprint: Fingerprint; note?: string | undefined }> | undefined
  removes?: Iterable<string> | undefined
}

/** A stretch that two tracks have in common, in seconds. */
export interface SharedStretch {
  firstStartS: number
  firstEndS: number
  secondStartS: number
  secondEndS: number
}

/** Two tracks that are related, and the evidence. */
export interface DuplicatePair {
  /** The longer one, or the one whose id comes first. */
  first: string
  second: string
  relation: 'identical' | 'transcode' | 'remaster' | 'trimmed' | 'sped' | 'contains' | 'shares'
  /** Mean score of the windows that agree, in standard deviations above chance; of equal samples null. */
  score: number | null
  /** Of the windows that could be compared, the share that agrees, 0 to 1. */
  agreement: number
  /** Share of the bits of their Chromaprints that differ, where these can be laid over each other. */
  bitError: number | null
  /** How much higher the first is. */
  pitchFactor: number
  /** How much faster the first is. */
  tempoFactor: number
  stretches: SharedStretch[]
}

/** How duplicates are looked for. */
export interface DuplicateOptions {
  /** Also find what is up to this many semitones higher or lower, 0 to 3; 1 unless given. */
  maxPitchSemitones?: number | undefined
  /** And what is up to this many per cent faster or slower, 0 to 10; 6 unless given. */
  maxTempoPercent?: number | undefined
  /** How many places of a track are looked for in the others; 3 unless given. */
  probes?: number | undefined
  /** Parts in common of less than this are not told, in seconds; 20 unless given. */
  minSharedS?: number | undefined
  /** 0: one for each processor. */
  threads?: number | undefined
}

/** All duplicates of an index. */
export class DuplicateReport {
  private constructor(fields: never)
  /** Version of the JSON form. */
  readonly schema: number
  /** How many tracks were compared. */
  readonly tracks: number
  /** Tracks that are the same work. */
  readonly groups: readonly { ids: string[]; pairs: DuplicatePair[] }[]
  /** Pairs that only have a part in common. */
  readonly shares: readonly DuplicatePair[]
  /** The JSON text that the other languages write. */
  toJson(): string
  /** As a table for people. */
  toTable(): string
}

/** How a folder is scanned. */
export interface ScanOptions {
  /** Take tracks out whose files are gone; true unless given. */
  forget?: boolean | undefined
  /** Also compare the samples themselves, to tell what is identical; true unless given. */
  pcmHash?: boolean | undefined
  /** 0: one for each processor. */
  threads?: number | undefined
}

/** What became of the files of a folder. */
export interface ScanReport {
  /** Files that were new or had changed, by their paths within the folder, which are their ids. */
  added: string[]
  /** Files that the index knew already. */
  unchanged: number
  /** Tracks whose files are gone. */
  removed: string[]
  /** Files that could not be read, and why. */
  failed: [string, string][]
  /** Seconds of sound that were heard. */
  seconds: number
}

/**
 * Knows tracks again: from excerpts, through noise, codecs and rooms, in another key, at another speed; and which are one work.
 * In memory, or in a folder that survives.
 */
export class Index {
  /** An empty one in memory. */
  constructor()
  /** One in a folder, which is made when it is not there. One process writes, any number may read. */
  static open(path: string, options?: IndexOptions & CallOptions): Promise<Index>
  /** Adds a track, and a note of yours. There must not be one of this name. */
  insert(id: string, fingerprint: Fingerprint, options?: { note?: string | undefined }): void
  /** Takes a track out; whether it was there. */
  remove(id: string): boolean
  /** Many changes, all of them or none, and a single wait for the disk: first some go, then some come. */
  apply(changes: IndexChanges, options?: CallOptions): Promise<void>
  /** How many tracks there are. */
  get size(): number
  /** Whether there is a track of this name. */
  has(id: string): boolean
  /** The names of all tracks. */
  ids(): string[]
  /** All that is known of a track. */
  get(id: string): IndexTrack | null
  /** How large the index is, and what was found when it was opened. */
  stats(): IndexStats
  /** Which tracks sound in `audio`, the best first. */
  query(audio: AudioBuffer, options?: QueryOptions & CallOptions): Promise<Match[]>
  /** Many queries, in their order, on the threads of libuv's pool. */
  queryBatch(sounds: Iterable<AudioBuffer>, options?: QueryOptions & CallOptions): Promise<Match[][]>
  /** Why a track was found in `audio`, as one SVG: the constellations over the spectrogram, and where the landmarks say it lies. */
  matchSvg(audio: AudioBuffer, match: Match): Promise<string>
  /** All tracks that are one work, in groups, and all pairs that share a part. */
  duplicates(options?: DuplicateOptions & CallOptions): Promise<DuplicateReport>
  /** Brings the index up to date with the sound files of a folder and all below it; goes on where it was stopped. */
  scan(folder: string, options?: ScanOptions & CallOptions): Promise<ScanReport>
  /** Writes what only the log has as a segment, and waits for merges. Not needed for durability. */
  flush(): Promise<void>
  /** Reads every byte that is kept; rejects with `SF_STORE` that names what is damaged. */
  check(): Promise<void>
  /** Writes all tracks as one segment file, to be imported elsewhere. */
  exportFile(path: string): Promise<void>
  /** Adds all tracks of a file that `exportFile` wrote; none of them may be there already. */
  importFile(path: string): Promise<void>
  /** In an index that only reads: shows what was written since. Whether there was anything. */
  refresh(): boolean
  /** Lets others write. An index that is not closed is when it is collected. */
  close(): void
}

/** The answers of several indexes to one query as that of one: the best `limit` of all, each track once. */
export function mergeTopk(answers: Iterable<Iterable<Match>>, limit: number): Match[]

/** Fingerprints a sound file block by block, so that it may be of any length. */
export function fingerprintFile(
  path: string,
  options?: FingerprintOptions & { pcmHash?: boolean | undefined } & CallOptions,
): Promise<Fingerprint>

/** How a fingerprint is made. */
export interface FingerprintOptions {
  /** The algorithm of the Chromaprint, `"test2"` unless given. */
  preset?: ChromaprintPreset | undefined
  /**
   * Leading silence is left out of the Chromaprint until the mean magnitude of 5 ms is above this, 0 to 32 767 steps of 16 bit.
   * `null`: as the preset has it (`"test4"` has 50, the others keep silence).
   */
  silenceThreshold?: number | null | undefined
}

/** Fingerprints a whole sound. */
export function fingerprint(audio: AudioBuffer, options?: FingerprintOptions & CallOptions): Promise<Fingerprint>

/** Fingerprints block by block; the result equals that of {@link fingerprint} to the bit, whatever the block size. */
export class Fingerprinter {
  constructor(options: Format & FingerprintOptions)
  /** Hears the next frames: a buffer, or one Float32Array per channel. */
  push(block: AudioBuffer | readonly Float32Array[]): void
  /** The fingerprint. The fingerprinter is used up. */
  finish(): Fingerprint
}

/** What is known of a track that is submitted. */
export interface AcoustidTrack {
  fingerprint: Fingerprint
  /** Bit rate of the file in kbit/s. */
  bitrateKbps?: number | undefined
  /** Format of the file, as `"FLAC"`. */
  fileFormat?: string | undefined
  /** MusicBrainz recording id. */
  mbid?: string | undefined
  track?: string | undefined
  artist?: string | undefined
  album?: string | undefined
  albumArtist?: string | undefined
  year?: number | undefined
  trackNumber?: number | undefined
  discNumber?: number | undefined
}

/**
 * The parameters of a look-up, to be posted to `https://api.acoustid.org/v2/lookup`. `client` is the key of your application;
 * `meta` are the things that are wanted besides ids. The fingerprint is cut to its first 120 s here. Nothing speaks to a network.
 */
export function acoustidLookup(
  fingerprint: Fingerprint,
  options: { client: string; meta?: readonly string[] | undefined },
): URLSearchParams

/**
 * The parameters of a submission, to be posted to `https://api.acoustid.org/v2/submit`. `client` is the key of your application,
 * `user` that of its user. Nothing speaks to a network.
 */
export function acoustidSubmit(tracks: readonly AcoustidTrack[], options: { client: string; user: string }): URLSearchParams

/** What a processor is going to run at. */
export interface Spec {
  /** In Hz, 8 000 to 384 000. */
  sampleRate: number
  /** 1 or 2; 2 unless given. */
  channels?: number | undefined
  /** The longest block that is processed at once, 8 192 unless given; longer ones are cut. */
  maxFrames?: number | undefined
}

/** A sound in, a sound out, in place: {@link prepare} once, then {@link process} blocks of any length. */
declare abstract class Processor {
  /** Gets ready, forgetting the past. */
  prepare(spec: Spec): this
  /** Works on the next frames in place, one Float32Array per channel, and hands the block back. Synchronous, for real time. */
  process<T extends readonly Float32Array[]>(block: T): T
  /** What is still inside at the end of a stream: the last `latency` frames. */
  flush(): Float32Array[]
  /** Forgets the past; parameters stay. */
  reset(): void
  /** By how many frames the output lags. The tail is drawn out by that many silent frames. */
  readonly latency: number
  /** Samples that were NaN or infinite, since `prepare` or `reset`; they were taken as 0. */
  readonly nonFiniteSamples: number
  /** A whole sound through a fresh processor with the same parameters, its latency compensated. */
  render(audio: AudioBuffer, options?: CallOptions): Promise<AudioBuffer>
}

declare abstract class Stage<Params> extends Processor {
  constructor(params?: Partial<Params>)
  /** The parameters, all of them. */
  readonly params: Params
  /** Glides to other parameters; those that are not named stay. */
  setParams(params: Partial<Params>): void
}

export interface GainParams {
  /** −200 to 200; 0 is neutral. */
  gainDb: number
}
/** Multiplies. */
export class Gain extends Stage<GainParams> {}

export interface EqualizerBand {
  kind?: 'peak' | 'low_shelf' | 'high_shelf' | 'high_pass' | 'low_pass' | 'notch'
  /** Centre or corner, 10 to 192 000. */
  frequencyHz?: number
  /** −30 to 30; 0 is neutral for peaks and shelves, unused by cuts. */
  gainDb?: number
  /** 0.1 to 40; 0.707 is Butterworth for cuts and shelves. */
  q?: number
}
export interface EqualizerParams {
  /** Up to 32, in series. None is neutral. */
  bands: EqualizerBand[]
}
/** Parametric: peaks, shelves and cuts. */
export class Equalizer extends Stage<EqualizerParams> {}

export interface DeEsserParams {
  /** Corner of the shelf and of the listener, 2 000 to 16 000. */
  frequencyHz: number
  /** Level above which the upper band can be sibilant, −80 to 0. */
  thresholdDb: number
  /** The upper band re the whole sound above which it is sibilant, −40 to 0. */
  relativeDb: number
  /** 1 to 20; 1 is neutral. */
  ratio: number
  /** 0 to 24; 0 is neutral. */
  maxReductionDb: number
  attackMs: number
  releaseMs: number
}
/** A dynamic shelf that leaves alone what is not sibilant. */
export class DeEsser extends Stage<DeEsserParams> {}

export interface BandParams {
  /** Peak level above which the band is turned down, −80 to 0. */
  thresholdDb?: number
  /** 1 to 20; 1 does nothing. */
  ratio?: number
  /** 0 to 24. */
  kneeDb?: number
  attackMs?: number
  releaseMs?: number
  /** After a long loud passage; 0 is off. */
  slowReleaseMs?: number
  /** −24 to 24. */
  makeupDb?: number
}
export interface MultibandParams {
  /** One to five rising corners. */
  crossoversHz: number[]
  /** One band more than there are corners. */
  bands: BandParams[]
}
/** A compressor of 2 to 6 bands whose sum is flat. */
export class Multiband extends Stage<MultibandParams> {}

export interface ExciterParams {
  /** Corner of the band that is excited, 500 to 16 000. */
  frequencyHz: number
  /** Second harmonic re the band, −60 (off) to 0. */
  evenDb: number
  /** Third harmonic re the band, −60 (off) to 0. */
  oddDb: number
}
/** Harmonics without aliases. */
export class Exciter extends Stage<ExciterParams> {}

export interface WidenerParams {
  /** Gain of the side, 0 (mono) to 3; 1 leaves it alone. */
  width: number
  /** Below this the side is taken out, 0 (off) to 500. */
  monoBelowHz: number
  /** How much of a decorrelated mid becomes the side, 0 (off) to 1. */
  decorrelation: number
}
/** Touches only the side: the mono fold-down stays. */
export class Widener extends Stage<WidenerParams> {}

export interface GlueParams {
  /** −80 to 0. */
  thresholdDb: number
  /** 1 to 20; 1 does nothing. */
  ratio: number
  kneeDb: number
  attackMs: number
  releaseMs: number
  slowReleaseMs: number
  /** Corner of the high-pass it listens through, 10 to 500. */
  sidechainHz: number
  makeupDb: number
}
/** A compressor over the whole mix. */
export class Glue extends Stage<GlueParams> {}

export interface LimiterParams {
  /** True peak that is not exceeded, −30 to 0. */
  ceilingDbtp: number
  /** How far ahead it looks, 0.5 to 20. */
  lookaheadMs: number
  releaseMs: number
  slowReleaseMs: number
}
/** A true-peak limiter. */
export class Limiter extends Stage<LimiterParams> {}

/** One module of a preset. Values are spelled as in preset files; keys may be too. */
export type Module =
  | ({ type: 'gain' } & Partial<GainParams>)
  | ({ type: 'equalizer' } & Partial<EqualizerParams>)
  | ({ type: 'de_esser' } & Partial<DeEsserParams>)
  | ({ type: 'multiband' } & Partial<MultibandParams>)
  | ({ type: 'exciter' } & Partial<ExciterParams>)
  | ({ type: 'widener' } & Partial<WidenerParams>)
  | ({ type: 'glue' } & Partial<GlueParams>)
  | ({ type: 'limiter' } & Partial<LimiterParams>)
  | ({ type: 'chain' } & Partial<PresetFields>)

/** The fields of a preset. */
export interface PresetFields {
  schema: number
  name: string
  modules: Module[]
}

/** A chain as data: its modules in order. */
export class Preset extends Document implements PresetFields {
  constructor(fields: Partial<PresetFields>)
  /** One that comes with the library. */
  static named(name: string): Preset
  /** The names of those. */
  static names(): string[]
  static fromJson(text: string): Preset
  static fromToml(text: string): Preset
  /** Reads a JSON or TOML file. */
  static load(path: string | URL, options?: CallOptions): Promise<Preset>
  /** Writes a JSON or TOML file, by its extension. */
  save(path: string | URL, options?: CallOptions): Promise<void>
  toToml(): string
  schema: number
  name: string
  modules: Module[]
}

/** Several processors in order. The order is data. */
export class MasteringChain extends Processor {
  /** From a preset, the name of one, or modules: processors, or objects with a `type`. */
  constructor(preset: Preset | PresetFields | string | readonly (Module | Stage<object>)[])
  /** The preset as it is now. */
  readonly preset: Preset
  /** Glides to other parameters of one module; its type stays. */
  setModule(index: number, module: Module | Stage<object>): void
}

/** Where a master is to arrive. */
export class Target {
  constructor(fields: { name: string; loudnessLufs: number; ceilingDbtp: number })
  /** `"spotify"`, `"apple"`, `"youtube"`, `"club"`, `"podcast"`, `"broadcast"` … */
  static named(name: string): Target
  /** All named targets. */
  static all(): Target[]
  /** −40 to −5 LUFS, −20 to 0 dBTP (−1 unless given). */
  static custom(loudnessLufs: number, ceilingDbtp?: number): Target
  name: string
  /** Integrated loudness. */
  loudnessLufs: number
  /** Highest true peak. */
  ceilingDbtp: number
}

/** A target, its name, or a loudness in LUFS under a ceiling of −1 dBTP. */
export type TargetLike = Target | { name: string; loudnessLufs: number; ceilingDbtp: number } | string | number

export interface MasterOptions extends CallOptions {
  /** `"spotify"` unless given. */
  target?: TargetLike | undefined
  /** Instead of a target: a sound that the result is to resemble, its analysis, or its file. */
  reference?: AudioBuffer | Analysis | string | URL | undefined
  /** Which parts of the reference are taken over; all unless given. */
  match?: MatchParts | undefined
}

/** Parts of a reference; `true` unless given. */
export interface MatchParts {
  /** Integrated loudness. */
  loudness?: boolean
  /** 1/3-octave spectrum. */
  spectrum?: boolean
  /** Share of the side. */
  width?: boolean
  /** Distance from the peaks to the loudness. */
  dynamics?: boolean
}

export interface MasterFileOptions extends MasterOptions, WriteOptions {}

/** A mastered sound and what came of it. */
export interface Mastered {
  audio: AudioBuffer
  report: Report
}

/** A chain with physical numbers that a person can read and edit. */
export class Plan extends Document {
  static fromJson(text: string): Plan
  schema: number
  target: Target | { name: string; loudnessLufs: number; ceilingDbtp: number }
  /** The chain before the limiter. */
  chain: PresetFields
  /** Its ceiling is the target's. */
  limiter: LimiterParams
  /** The deepest gain reduction that is allowed for reaching the loudness. */
  maxGainReductionDb: number
  /** Why the chain is as it is, in words. */
  notes: string[]
  /** Runs the plan. */
  render(audio: AudioBuffer, options?: CallOptions): Promise<Mastered>
  /** Runs the plan from a file to a file, in memory that does not grow with its length. */
  renderFile(input: string | URL, output: string | URL, options?: WriteOptions): Promise<Report>
}

/** How much gain was taken away, in dB ≥ 0. */
export interface GainReduction {
  maxDb: number
  meanDb: number
}

export interface BandReduction extends GainReduction {
  lowHz: number
  highHz: number
}

/** Gain reduction at equal steps, in dB ≥ 0. */
export interface ReductionTimeline {
  /** Length of a step in seconds. */
  stepS: number
  limiterDb: number[]
  /** Lowest band first. */
  bandsDb: number[][]
  deEsserDb: number[]
}

/** What came of a mastering: before and after, and whether the promise was kept. */
export class Report extends Document {
  static fromJson(text: string): Report
  readonly schema: number
  readonly target: Target | { name: string; loudnessLufs: number; ceilingDbtp: number }
  readonly plan: Omit<Plan, keyof Document | 'render' | 'renderFile'>
  readonly before: Omit<Analysis, keyof Document | 'svg'>
  readonly after: Omit<Analysis, keyof Document | 'svg'>
  /** Gain into the limiter. */
  readonly driveDb: number
  /** Within ±0.1 LU of the target, measured on the output. */
  readonly loudnessReached: boolean
  /** Measured on the output. */
  readonly ceilingMet: boolean
  /** Why the promise could not be kept, or `null` when it was. */
  readonly refusal: string | null
  readonly neededGainReductionDb: number
  readonly limiter: GainReduction
  readonly bands: BandReduction[]
  readonly deEsser: GainReduction | null
  readonly glue: GainReduction | null
  readonly nonFiniteSamples: number
  readonly latencyFrames: number
  readonly passes: number
  /** Brings the original to the loudness of the master. */
  readonly gainMatchDb: number
  readonly timeline: ReductionTimeline
  /** A few lines for people. */
  summary(): string
  /** As a picture: one self-contained SVG. */
  svg(): string
  /** As a page: one self-contained HTML. */
  html(): string
}

/** Plans how to bring a sound, or what was measured of it, to a target or near a reference. */
export function plan(audio: AudioBuffer | Analysis, options?: MasterOptions): Promise<Plan>
/** Masters a sound: plan, render, report. */
export function master(audio: AudioBuffer, options?: MasterOptions): Promise<Mastered>
/** Masters a file into a file, with its tags and cover art, in memory that does not grow with its length. */
export function masterFile(input: string | URL, output: string | URL, options?: MasterFileOptions): Promise<Report>
/** The original at the loudness of its master, for comparing by ear. */
export function gainMatched(original: AudioBuffer, report: Report, options?: CallOptions): Promise<AudioBuffer>

/** What a piece of music is to be. What is left out is left to the generator. */
export interface GenerateOptions {
  /** Token ids instead of a prompt, for checkpoints without a tokenizer. */
  tokenIds?: Uint32Array | readonly number[] | undefined
  /** New music, above 0 up to 3600; 10 unless given. */
  seconds?: number | undefined
  /** Same seed and same request, same music. A whole number below 2^53, or a bigint below 2^64; 0 unless given. */
  seed?: number | bigint | undefined
  /** Below 1 safer, above 1 wilder; 0 takes the most likely token always. */
  temperature?: number | undefined
  /** Only the k most likely tokens can be drawn; 0: all. */
  topK?: number | undefined
  /** Only the most likely tokens that together reach this probability can be drawn; 1: all. */
  topP?: number | undefined
  /** How much the prompt weighs, 1 (no guidance) to 50. */
  guidanceScale?: number | undefined
  /** Music to go on from, at the generator's sample rate. */
  continueFrom?: AudioBuffer | undefined
  /** Codes to go on from, one array per codebook, instead of `continueFrom`. */
  continueCodes?: readonly (Uint32Array | readonly number[])[] | undefined
  /** Whether the result begins with what it goes on from, as the codec hears it; true unless given. */
  keepPrompt?: boolean | undefined
  /** A melody to follow, at the generator's sample rate; for melody models. */
  melody?: AudioBuffer | undefined
}

/** One piece of a batch. Without a prompt and without token ids: anything the model likes. */
export interface GenerateRequest extends GenerateOptions {
  prompt?: string | undefined
}

/** What a function of the host's is asked for; what was not said is `null`. */
export interface AskedRequest {
  prompt: string | null
  tokenIds: number[] | null
  seconds: number
  seed: number | bigint
  temperature: number | null
  topK: number | null
  topP: number | null
  guidanceScale: number | null
  continueFrom: AudioBuffer | null
  continueCodes: readonly (Uint32Array | readonly number[])[] | null
  keepPrompt: boolean
  melody: AudioBuffer | null
}

/** What a function of the host's hears of the call that it serves. */
export interface AskedCall {
  /** When it aborts, the caller has got its rejection already; stop working. */
  signal: AbortSignal | undefined
  /** Tells the caller how far the piece is, 0 to 1; the stage is `"generate"` unless given. */
  onProgress: (step: { stage?: string; fraction: number }) => void
}

/** What a function of the host's returns: finite samples, at least one frame. */
export type Made = AudioBuffer | { samples: Float32Array; sampleRate: number; channels?: number }

/** Whatever makes music from a request: a {@link MusicGen}, or a function of the host's. */
export abstract class Generator {
  /**
   * A generator from a function. Requests are validated before it is called, what it returns is looked at, and what it
   * throws is the rejection.
   */
  static fromFunction(make: (request: AskedRequest, call: AskedCall) => Made | Promise<Made>): Generator

  /** Makes one piece. Without a prompt: anything the model likes. */
  generate(prompt?: string | null, options?: GenerateOptions & CallOptions): Promise<AudioBuffer>
  /** Makes several, in the order of the requests; a string is a request with nothing but a prompt, null one without. */
  generateBatch(requests: readonly (GenerateRequest | string | null)[], options?: CallOptions): Promise<AudioBuffer[]>
  /** Makes one piece while it is listened to; together the same samples as `generate`. A loop that is left stops it. */
  stream(prompt?: string | null, options?: GenerateOptions & CallOptions): AsyncGenerator<AudioBuffer, void, undefined>
}

/** In how many bits the weights of a model are kept. */
export type Precision = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q6_k' | 'q4_k'

export interface LoadOptions {
  /** `"cpu"` unless given; `"cuda"`, `"cuda:1"` … and `"metal"` in builds that have them. */
  device?: string | undefined
  /** A GGUF file as it is, a folder in `"q8_0"` (on a device `"bf16"`) unless given. */
  quantization?: Precision | undefined
  /** Threads on a CPU; 0: as many as the machine has, up to 8. The sound does not depend on it. */
  threads?: number | undefined
  /** Stops waiting for the load. */
  signal?: AbortSignal | undefined
  onProgress?: CallOptions['onProgress']
}

/** What was loaded. */
export interface ModelInfo {
  readonly family: 'musicgen' | 'musicgen_melody'
  /** Licence of the weights, as the checkpoint says; `"unknown"` when it does not. */
  readonly licence: string
  /** In Hz. */
  readonly sampleRate: number
  /** 1 or 2. */
  readonly channels: number
  /** Codes per second and codebook. */
  readonly frameRate: number
  /** Codebooks of all channels. */
  readonly codebooks: number
  /** Entries of a codebook. */
  readonly codebookSize: number
  /** Music that fits one window; longer pieces go on in further ones. In seconds. */
  readonly windowSeconds: number
  /** Whether it follows a melody. */
  readonly melody: boolean
  /** Whether it reads text, or only token ids. */
  readonly tokenizer: boolean
  readonly precision: Precision
  /** `"cpu (avx512-vnni)"`, `"cuda:0"` … */
  readonly device: string
  /** Threads on a CPU. */
  readonly threads: number
  /** Bytes of the language model's and text encoder's weights in memory. */
  readonly weightBytes: number
  /** Bytes of them that one step reads. */
  readonly stepBytes: number
}

/** A model of the MusicGen family. */
export class MusicGen extends Generator {
  private constructor()

  /**
   * Loads the default model, which is part of the package (no `source`, undefined or null), or a folder in the Hugging Face
   * layout, or one GGUF file written by {@link quantize}.
   */
  static load(source?: string | URL | null, options?: LoadOptions): Promise<MusicGen>

  /** What was loaded, the licence of the weights among it. */
  readonly info: ModelInfo

  /** Token ids of a prompt, with the end-of-sequence token. */
  tokenize(prompt: string): Uint32Array
  /** As `generate`, but the codes instead of the audio, one array per codebook, with those it went on from. */
  generateCodes(prompt?: string | null, options?: GenerateOptions & CallOptions): Promise<Uint32Array[]>
  /** Audio of codes. */
  decodeCodes(codes: readonly (Uint32Array | readonly number[])[], options?: CallOptions): Promise<AudioBuffer>
  /** Codes of audio at the model's sample rate; the last frame may reach past its end. */
  encodeAudio(audio: AudioBuffer, options?: CallOptions): Promise<Uint32Array[]>
}

export interface QuantizeOptions extends CallOptions {
  /** `"q8_0"` unless given. */
  quantization?: Precision | undefined
  /** The codec in 8 bits too, where the precision is a quantized one; for small models. `false` unless given. */
  compact?: boolean | undefined
}

/** What came of quantizing. */
export interface QuantizeReport {
  readonly precision: Precision
  /** Licence of the weights, which is that of the new file too. */
  readonly licence: string
  /** Bytes of the safetensors files. */
  readonly bytesBefore: number
  /** Bytes of the GGUF file. */
  readonly bytesAfter: number
  /** How many weights were written. */
  readonly weights: number
  /** How many of them in blocks of 8, 6 or 4 bits. */
  readonly weightsQuantized: number
  /** The root of the mean squared error of those, relative to the root of their mean square. */
  readonly relativeError: number
  /** Tensors whose rows the blocks of their precision do not divide, and what they were written in instead. */
  readonly fallbacks: readonly (readonly [string, Precision])[]
}

/**
 * Writes the checkpoint in `folder` into one GGUF file with everything that is needed to run it. The file appears whole or
 * not at all; one that is there is replaced.
 */
export function quantize(folder: string | URL, path: string | URL, options?: QuantizeOptions): Promise<QuantizeReport>

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

/** One part of a prompt and the values that it can take. */
export interface Slot {
  name: string
  values: readonly string[]
}

/** Slots and the template that makes a prompt of one value per slot. */
export class Space {
  /** `template` has `{slot}` for each slot and, where it is wanted, `{concept}`; `{{` and `}}` are braces. */
  constructor(fields: { slots: readonly Slot[]; template: string })
  /** From values by slot; without a template the concept and the values, with commas between. */
  static of(slots: Readonly<Record<string, readonly string[]>>, template?: string): Space
  readonly slots: readonly Slot[]
  readonly template: string
}

/** One kind of reward and its share in the utility. */
export interface Metric {
  name: string
  /** 0 or 1 (which it is unless given); a number from 0 to 1; any number of magnitude up to 2^20. */
  kind?: 'binary' | 'rating' | 'real' | undefined
  /** In the utility; negative for a penalty, 0 for what is only constrained or watched. 1 unless given. */
  weight?: number | undefined
  /** The mean must be at least this; a variant that misses it is not offered. */
  atLeast?: number | undefined
  /** The mean must be at most this. */
  atMost?: number | undefined
  /** How probable the miss must be before a variant is left out, 0.5 to 1 (exclusive); 0.95 unless given. */
  confidence?: number | undefined
}

/** One prompt of a concept. */
export interface Variant {
  /** Sixteen hexadecimal digits that follow from the slots or the text. */
  id: string
  concept: string
  /** Value by slot; empty for free text. */
  slots: Record<string, string>
  /** The prompt. */
  text: string
  status: 'active' | 'paused' | 'retired'
  control: boolean
  /** Counts the changes of status and control. */
  revision: number
}

/** What to generate next. */
export interface Suggestion {
  /** What the reward is to come back with; keep it beside the track. */
  token: string
  /** The decision's id, 24 hexadecimal digits. */
  decision: string
  concept: string
  /** The variant's id. */
  variant: string
  prompt: string
  /** The probability with which it was drawn; exact. */
  propensity: number
  /** All that could have been drawn; frozen, since suggestions of one policy share it. */
  candidates: readonly Readonly<{ variant: string; propensity: number }>[]
}

/** Two prompts to be compared. */
export interface Duel {
  /** What the verdict is to come back with: 1 where the first won, 0 where the second did, 0.5 for a draw. */
  token: string
  decision: string
  first: Variant
  second: Variant
  /** The probability of this pair, in any order. */
  propensity: number
}

/** What became of a reward. */
export type Applied = 'new' | 'duplicate' | 'revised' | 'stale'

/** A reward that is to be counted. */
export interface Feedback {
  token: string
  value: number
  /** The first metric unless given. */
  metric?: string | undefined
  /** The highest revision holds; of equal ones the larger value. 0 unless given. */
  revision?: number | undefined
}

/** A mean with its 95 % credible interval. */
export interface Interval {
  mean: number
  low: number
  high: number
}

/** One variant of a report. */
export interface VariantReport {
  variant: Variant
  /** Share of the traffic that it gets now. */
  share: number
  /** The probability that it is the best of those offered. */
  pBest: number
  /** The weighted sum over metrics, or the mean itself where there is one metric. */
  utility: Interval
  /** How much utility per decision choosing it would cost, as far as is known. */
  expectedLoss: number
  /** Utility over the control's; `null` without one. */
  lift: Interval | null
  /** The probability that it is better than the control. */
  pOverControl: number | null
  metrics: { name: string; rewards: number; value: Interval }[]
  /** The density of its utility at equal steps over the report's axis. */
  density: number[]
}

/** What is known of a concept. */
export class PromptReport {
  static fromJson(text: string): PromptReport
  toJson(): string
  /** A few lines for a terminal. */
  summary(): string
  /** As a picture: one self-contained SVG. */
  svg(): string
  readonly schema: number
  readonly concept: string
  /** Variants that are offered, the likeliest to be the best first. */
  readonly variants: VariantReport[]
  /** How many others are paused or retired. */
  readonly resting: number
  /** Whether the rule says that it is decided. */
  readonly finished: boolean
  /** Id of the leader. */
  readonly leader: string
  /** Why it is decided or not, in words. */
  readonly verdict: string
  readonly axis: [number, number]
  /** Bucket by bucket. */
  readonly history: { epoch: number; rewards: number; mean: number; regret: number }[]
  /** Name of the first metric. */
  readonly metric: string
}

/** A reward per decision and its 95 % interval. */
export interface Estimate {
  value: number
  low: number
  high: number
}

/** What a log says of a policy. */
export interface Evaluation {
  decisions: number
  /** Effective sample size: as many decisions of the policy itself would say as much. */
  effective: number
  /** Inverse propensity score: unbiased, wide. */
  ips: Estimate
  /** Self-normalized: a little biased, narrower. */
  snips: Estimate
  /** Doubly robust, where every decision came with a model. */
  dr: Estimate | null
  /** Why not to trust it, in words. */
  warning: string | null
}

/** How an optimizer works. */
export interface OptimizerOptions {
  /** `"memory:"` unless given; the path of an SQLite file, `redis://host:port/db` or `redis+sentinel://host:port,…/service`. */
  store?: string | undefined
  /** SQLite's: acknowledged when it is on the disk (`"power"`, unless given), or when it survives the process. */
  durability?: 'power' | 'process' | undefined
  /** A file of this process alone, before a Redis server that may forget. */
  spool?: string | URL | undefined
  /** Tokens are taken by optimizers of the same name only. */
  name?: string | undefined
  /** A string is a binary metric; `["approval"]` unless given. */
  metrics?: readonly (Metric | string)[] | undefined
  /** Whether variants and concepts learn from each other as far as the evidence says; `"auto"` unless given. */
  model?: 'auto' | 'independent' | undefined
  /** How the past is weighed, in buckets; `"auto"` unless given. */
  drift?: 'auto' | 'none' | { discount: number } | { window: number } | undefined
  policy?:
    | { mode?: 'thompson' | 'optimistic' | 'top_two'; floor?: number; controlShare?: number; maxShare?: number }
    | undefined
  /** Of binary metrics and ratings; `[1, 1]` unless given. */
  prior?: readonly [number, number] | undefined
  linear?: { ridge?: number; exploration?: number } | undefined
  /** Length of a bucket of time in seconds; a day unless given. */
  bucketS?: number | undefined
  /** A policy is renewed after this many rewards; 1 unless given. */
  refreshRewards?: number | undefined
  /** Other processes' rewards are asked for at most this often; 200 unless given. */
  refreshMs?: number | undefined
  seed?: number | bigint | undefined
  /** Signs the tokens, for those that travel through clients. */
  secret?: string | undefined
}

/** Learns which prompts please. Several workers and processes share one through its store. */
export class PromptOptimizer {
  private constructor()
  /** Opens the store and makes an optimizer over it; without a space only free text can be offered. */
  static open(space: Space | null, options?: OptimizerOptions): Promise<PromptOptimizer>
  readonly space: Space | null
  /** All options with their values. */
  options(): Promise<Record<string, unknown>>
  /** Draws a prompt for a concept. Nothing is written: the token carries all that the reward needs. */
  suggest(
    concept: string,
    options?: { decision?: string | undefined; epoch?: number | undefined; context?: ArrayLike<number> | undefined },
  ): Promise<Suggestion>
  /** Several independent suggestions, for generating in parallel. */
  suggestBatch(concept: string, count: number): Promise<Suggestion[]>
  /** Several different variants; `propensity` is the probability of being among them. */
  suggestTop(concept: string, count: number): Promise<Suggestion[]>
  /** Two different variants to be compared by a listener. */
  suggestDuel(concept: string): Promise<Duel>
  /** Counts a reward. It counts once, however often it comes. */
  reward(token: string, value: number, options?: { metric?: string | undefined; revision?: number | undefined }): Promise<Applied>
  /** Counts rewards, all or none; says of each what became of it. */
  rewardAll(feedback: readonly Feedback[]): Promise<Applied[]>
  /** All variants of a concept, in the order of their ids. */
  variants(concept: string): Promise<Variant[]>
  /** All concepts that have variants. */
  concepts(): Promise<string[]>
  /** Offers a variant from now on, from one value per slot or of free text. */
  add(
    concept: string,
    what: string | { text?: string | undefined; slots?: Readonly<Record<string, string>> | undefined; control?: boolean | undefined },
  ): Promise<Variant>
  /** Pauses, retires or resumes a variant. */
  setStatus(concept: string, variant: string, status: 'active' | 'paused' | 'retired'): Promise<void>
  /** Makes a variant the control of its concept, in place of the one before. */
  setControl(concept: string, variant: string): Promise<void>
  /** Begins a concept with variants spread over the space, 4 unless given; where it has active ones, nothing happens. */
  start(concept: string, count?: number): Promise<Variant[]>
  /** New variants that are likely to please, by what the slots have shown so far; they are not added yet. */
  propose(concept: string, count?: number): Promise<Variant[]>
  /** Retires the hopeless and adds a new proposal for each. */
  evolve(
    concept: string,
    options?: { below?: number | undefined; atLeast?: number | undefined },
  ): Promise<{ retired: Variant[]; added: Variant[] }>
  /** The probabilities that suggestions are drawn with now, by variant id. */
  policy(concept: string): Promise<Record<string, number>>
  /**
   * What is known of a concept, and whether it is decided: when a variant is the best with probability `pBest` (.95), or when choosing
   * the leader is expected to cost at most `expectedLoss` (0); not before `atLeast` (20) rewards for each variant on the average.
   */
  report(
    concept: string,
    options?: { pBest?: number | undefined; expectedLoss?: number | undefined; atLeast?: number | undefined },
  ): Promise<PromptReport>
  /** The rewarded decisions of a concept, with their propensities. */
  log(
    concept: string,
    options?: { metric?: string | undefined },
  ): Promise<{ variant: string; propensity: number; reward: number; epoch: number }[]>
  /** What another policy (probabilities by variant id, summing to 1) would have earned. */
  evaluate(concept: string, policy: Readonly<Record<string, number>>, options?: { metric?: string | undefined }): Promise<Evaluation>
  /** Variants and ledger as JSON: the same text after any order of the same events. */
  exportState(): Promise<string>
  /** Merges what another optimizer exported; may be done twice. */
  importState(text: string): Promise<{ variants: number; new: number; revised: number; duplicate: number; stale: number }>
  /** Asks the store for everything that others have done. */
  refresh(): Promise<void>
  /** Delivers what a spool holds; how many rewards are still on the way. */
  flush(): Promise<number>
}

/** What another policy would have earned, from any log. */
export function evaluatePolicy(
  log: readonly { propensity: number; reward: number; target: number; model?: readonly [number, number] | undefined }[],
): Evaluation
