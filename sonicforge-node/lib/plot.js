// Pictures: self-contained SVG and HTML.

import { binding } from './binding.js'
import { sync } from './errors.js'
import { toCore } from './names.js'

/** An analysis as one SVG. */
export const analysisSvg = (analysis) => sync(() => binding.analysisSvg(toCore(analysis, 'analysis')))

/** A report as one SVG. */
export const reportSvg = (report) => sync(() => binding.reportSvg(toCore(report, 'report')))

/** A report as one HTML page. */
export const reportHtml = (report) => sync(() => binding.reportHtml(toCore(report, 'report')))
