// Compiled by `npm run lint`, never run: what a strict TypeScript user writes, and what the compiler must refuse.

import {
  Analysis,
  Analyzer,
  AudioBuffer,
  Equalizer,
  Gain,
  Generator,
  Limiter,
  MasteringChain,
  MusicGen,
  Plan,
  Preset,
  Reader,
  Report,
  SonicForgeError,
  Target,
  Writer,
  analyze,
  gainMatched,
  info,
  master,
  masterFile,
  plan,
  quantize,
  tags,
  testing,
  version,
} from 'sonicforge'
import type {
  CallOptions,
  ErrorCode,
  FileInfo,
  GenerateOptions,
  LimiterParams,
  Live,
  Mastered,
  ModelInfo,
  Module,
  QuantizeReport,
  Step,
} from 'sonicforge'

export async function use(path: string): Promise<void> {
  const controller = new AbortController()
  const onProgress = ({ stage, fraction }: Step): void => console.log(stage, fraction)
  const options: CallOptions = { signal: controller.signal, onProgress }

  const audio: AudioBuffer = await AudioBuffer.read(path, options)
  const channel: Float32Array = audio.channel(0)
  const about: FileInfo = await info(new URL('file:///song.flac'))
  await audio.trim(1, 2).fadeIn(0.1).fadeOut(0.1).toMono().write('out.flac', { sampleFormat: 'int24', dither: 'shaped', seed: 1 })
  const bytes: Buffer = await audio.writeBytes({ container: 'wav' })
  await AudioBuffer.readBytes(bytes)

  const analysis: Analysis = await analyze(audio, options)
  const loudness: number | null = analysis.integratedLufs
  const text: string = Analysis.fromJson(analysis.toJson()).toJson()
  const analyzer = new Analyzer({ sampleRate: 48_000, channels: 2 })
  analyzer.push([channel, channel])
  const live: Live = analyzer.current()
  console.log(about.codec, loudness, text, live.frames, version, analyzer.finish().frames)

  // @ts-expect-error a plain array is not audio
  new AudioBuffer([0, 1], { sampleRate: 48_000 })
  // @ts-expect-error sampleRate is needed
  new AudioBuffer(new Float32Array(2), {})
  // @ts-expect-error no such dither
  await audio.write('out.wav', { dither: 'loud' })
  // @ts-expect-error bytes have no name that would tell the container
  await audio.writeBytes({})
  // @ts-expect-error results are not to be written to
  analysis.integratedLufs = -14
  // @ts-expect-error a sine has a frequency
  testing.signal('sine', { levelDbfs: -6 })

  try {
    await analyze(testing.signal('music', { seed: 1, seconds: 2 }))
  } catch (error) {
    if (error instanceof SonicForgeError) {
      const code: ErrorCode = error.code
      console.error(code, error.message)
    }
  }
}

export async function mastering(path: URL): Promise<void> {
  const audio = await AudioBuffer.read(path)
  const result: Mastered = await master(audio, { target: 'spotify', onProgress: ({ fraction }) => fraction })
  const report: Report = await masterFile(path, 'out.flac', { target: -14, sampleFormat: 'int24', dither: 'shaped' })
  const reached: boolean = report.loudnessReached && result.report.ceilingMet
  const loudness: number | null = report.after.integratedLufs
  const page: string = report.html() + report.svg() + Report.fromJson(report.toJson()).summary()

  const made: Plan = await plan(await analyze(audio), { target: Target.custom(-12) })
  made.maxGainReductionDb = 6
  made.chain.modules.push({ type: 'gain', gainDb: 1 })
  await made.renderFile('in.wav', 'out.wav')
  await gainMatched(audio, (await made.render(audio)).report)

  const modules: Module[] = [{ type: 'equalizer', bands: [{ kind: 'peak', frequencyHz: 1_000, gainDb: 2, q: 1 }] }]
  const chain = new MasteringChain([...modules, new Limiter({ ceilingDbtp: -2 })]).prepare({ sampleRate: 48_000 })
  const block: [Float32Array, Float32Array] = [new Float32Array(128), new Float32Array(128)]
  const same: [Float32Array, Float32Array] = chain.process(block)
  chain.setModule(1, new Limiter())
  const limiter = new Limiter()
  const params: LimiterParams = limiter.params
  limiter.setParams({ releaseMs: params.releaseMs / 2 })
  await Preset.named('gentle').save('gentle.toml')

  const reader = await Reader.open(path)
  const writer = await Writer.create('out.wav', { sampleRate: reader.info.sampleRate, channels: 2, tagsFrom: path })
  for await (const piece of reader) await writer.write(piece)
  await writer.finish()
  console.log((await tags(path)).get('title'), reached, loudness, page, same.length)

  // @ts-expect-error a limiter has no gain
  new Limiter({ gainDb: 3 })
  // @ts-expect-error no such band
  new Equalizer({ bands: [{ kind: 'bell' }] })
  // @ts-expect-error units are part of the name
  new Gain({ gain: 3 })
  // @ts-expect-error a report says what came; it is not to be written to
  report.loudnessReached = true
  // @ts-expect-error a processor is not made, its stages are
  new Reader()
}

export async function generating(folder: URL): Promise<void> {
  const signal = AbortSignal.timeout(1_000)
  const report: QuantizeReport = await quantize(folder, 'small.gguf', { quantization: 'q4_k', signal })
  const model: MusicGen = await MusicGen.load('small.gguf', { device: 'cpu', threads: 2 })
  const info: ModelInfo = model.info
  const options: GenerateOptions = { seconds: 5, seed: 2n ** 60n, temperature: 1.1, topK: 250, topP: 0.9, guidanceScale: 3 }
  const audio: AudioBuffer = await model.generate('slow warm piano', { ...options, signal, onProgress: ({ fraction }) => fraction })
  const batch: AudioBuffer[] = await model.generateBatch([{ prompt: 'drums', seconds: 1 }, 'strings', {}], { signal })
  for await (const chunk of model.stream(null, { continueFrom: audio, keepPrompt: false })) console.log(chunk.frames)
  const codes: Uint32Array[] = await model.generateCodes(undefined, { tokenIds: model.tokenize('piano') })
  await model.encodeAudio(await model.decodeCodes([...codes, [1, 2]]))

  const own: Generator = Generator.fromFunction(async ({ prompt, seconds }, { onProgress }) => {
    onProgress({ fraction: 0.5 })
    return { samples: new Float32Array((prompt ?? '').length * seconds), sampleRate: 32_000 }
  })
  const either: Generator[] = [own, model, Generator.fromFunction(() => audio)]
  console.log(report.fallbacks, info.licence, batch.length, either.length)

  // @ts-expect-error a model is loaded, not made
  new MusicGen()
  // @ts-expect-error a generator is made from a function
  new Generator()
  // @ts-expect-error candle is slow at it, so it is not there
  await quantize(folder, 'small.gguf', { quantization: 'q4_0' })
  // @ts-expect-error text is not a length
  await model.generate('piano', { seconds: '5' })
  // @ts-expect-error what was loaded does not change
  info.sampleRate = 44_100
  // @ts-expect-error a generator returns audio
  Generator.fromFunction(() => 'music')
}
