// Decisions per second of CPU time through the Node package: `node benches/peers/optimize_bindings.mjs`, after `npm run build`.
// CPU time is the whole process's, libuv's pool and the garbage collector included; best of five.

import { PromptOptimizer } from '../../sonicforge-node/lib/index.js'

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

async function rate(name, perCall, work) {
  for (let n = 0; n < 2_000; n += perCall) await work()
  let best = 0
  for (let run = 0; run < 5; run += 1) {
    const begun = cpuSeconds()
    let calls = 0
    while (cpuSeconds() - begun < 0.5) {
      // Asking for the time costs as much as a few suggestions.
      for (let n = 0; n < 1_000; n += perCall) await work()
      calls += Math.max(1_000, perCall)
    }
    best = Math.max(best, calls / (cpuSeconds() - begun))
  }
  console.log(`${name.padEnd(58)} ${Math.round(best).toLocaleString('en').padStart(12)} /s`)
}

for (const arms of [4, 100]) {
  const optimizer = await PromptOptimizer.open(null)
  for (let n = 0; n < arms; n += 1) await optimizer.add('c', `prompt ${n}`)
  await rate(`suggest, K = ${arms}`, 1, () => optimizer.suggest('c'))
  await rate(`suggestBatch of 1000, K = ${arms}`, 1_000, () => optimizer.suggestBatch('c', 1_000))
  if (arms === 4) {
    await rate('suggest and reward', 1, async () => optimizer.reward((await optimizer.suggest('c')).token, 1))
  }
}
