// The compiled part, found by the loader that napi generates.

import { createRequire } from 'node:module'

export const binding = createRequire(import.meta.url)('./binding.cjs')
