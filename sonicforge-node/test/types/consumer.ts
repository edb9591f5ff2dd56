// Compiled by `npm run lint`, never run: what a strict TypeScript user writes, and what the compiler must refuse.

import { Analysis, Analyzer, AudioBuffer, SonicForgeError, analyze, info, testing, version } from 'sonicforge'
import type { CallOptions, ErrorCode, FileInfo, Live, Step } from 'sonicforge'

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
