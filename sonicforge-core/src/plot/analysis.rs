//! The picture of an [`Analysis`]: waveform, loudness over time, 1/3 octaves, the numbers.

use crate::analyze::{Analysis, BandLevel};

use super::svg::{
    AFTER, Anchor, Area, BAD, BEFORE, GRID, INK, MUTED, SOFT, Scale, Svg, TARGET, area, axis_frequency, axis_time,
    columns, font, grid_y, higher, legend, panel, signed, stairs, tile,
};

const WIDTH: f64 = 1_200.0;
const EDGE: f64 = 24.0;
pub(super) const MAX_COLUMNS: usize = 1_100;

/// One self-contained picture of `analysis`.
pub fn analysis_svg(analysis: &Analysis) -> String {
    let mut svg = Svg::new(WIDTH);
    svg.text(EDGE, 48.0, Anchor::Start, font(24.0, 700, INK), "Analysis");
    svg.text(WIDTH - EDGE, 46.0, Anchor::End, font(13.0, 400, MUTED), &format_of(analysis));
    numbers(&mut svg, 70.0, analysis);
    let wide = WIDTH - 2.0 * EDGE;
    waveform(&mut svg, area(EDGE, 230.0, wide, 190.0), "Waveform", analysis, AFTER, None);
    loudness(&mut svg, area(EDGE, 436.0, wide, 270.0), analysis);
    let bars = area(EDGE, 722.0, wide * 0.68 - 8.0, 290.0);
    spectrum(&mut svg, bars, &analysis.third_octave);
    facts(&mut svg, area(bars.right() + 16.0, 722.0, wide - bars.w - 16.0, 290.0), analysis);
    svg.finish(1_036.0, "Audio analysis: loudness, peaks, spectrum")
}

/// "3:20.0 min · stereo · 44.1 kHz"
pub(super) fn format_of(a: &Analysis) -> String {
    let channels = match a.channels {
        1 => "mono".to_string(),
        2 => "stereo".to_string(),
        n => format!("{n} channels"),
    };
    let minutes = (a.seconds / 60.0).floor();
    let length = if minutes < 1.0 {
        format!("{:.1} s", a.seconds)
    } else {
        format!("{minutes:.0}:{:04.1} min", a.seconds - 60.0 * minutes)
    };
    format!("{length} · {channels} · {} kHz", f64::from(a.sample_rate) / 1_000.0)
}

fn numbers(svg: &mut Svg, top: f64, a: &Analysis) {
    let tiles = [
        ("Integrated loudness", signed(a.integrated_lufs, 1), "LUFS"),
        ("True peak", signed(a.true_peak_dbtp, 1), "dBTP"),
        ("Loudness range", signed(a.loudness_range_lu, 1), "LU"),
        ("Peak to loudness", signed(a.plr_lu, 1), "LU"),
        ("Short-term max", signed(a.short_term_max_lufs, 1), "LUFS"),
        ("Momentary max", signed(a.momentary_max_lufs, 1), "LUFS"),
        ("RMS", signed(a.rms_dbfs, 1), "dBFS"),
        ("Crest factor", signed(a.crest_db, 1), "dB"),
    ];
    let w = (WIDTH - 2.0 * EDGE - 3.0 * 12.0) / 4.0;
    for (i, (name, value, unit)) in tiles.iter().enumerate() {
        let (column, row) = ((i % 4) as f64, (i / 4) as f64);
        tile(svg, area(EDGE + column * (w + 12.0), top + row * 76.0, w, 66.0), name, value, unit);
    }
}

/// Lowest and highest sample over time; `ceiling_db` draws two lines.
pub(super) fn waveform(svg: &mut Svg, card: Area, heading: &str, a: &Analysis, color: &str, ceiling_db: Option<f64>) {
    let plot = panel(svg, card, heading);
    let t = &a.timeline;
    let peak = t.minimum.iter().chain(&t.maximum).fold(1.0f32, |m, x| m.max(x.abs())).min(4.0);
    let y = Scale::linear(f64::from(-peak), f64::from(peak), plot.bottom(), plot.y);
    grid_y(svg, plot, y, [1.0, 0.5, 0.0, -0.5, -1.0], |v| match v.abs() {
        1.0 => "0 dB".into(),
        0.5 => "−6".into(),
        _ => "−∞".into(),
    });
    let x = Scale::linear(0.0, a.seconds, plot.x, plot.right());
    let low = columns(&t.minimum, MAX_COLUMNS, f32::min);
    let high = columns(&t.maximum, MAX_COLUMNS, f32::max);
    // At least a hair line, also in silence.
    let points = stairs(low.len(), plot, |i| (y.at(f64::from(high[i])) - 0.4, y.at(f64::from(low[i])) + 0.4));
    svg.band(&points, color);
    if let Some(ceiling) = ceiling_db {
        legend(
            svg,
            card.right() - 18.0,
            card.y + 26.0,
            &[(&format!("ceiling {} dBTP", signed(Some(ceiling), 1)), TARGET)],
        );
        let level = crate::units::db_to_gain(ceiling);
        for v in [level, -level] {
            svg.line((plot.x, y.at(v)), (plot.right(), y.at(v)), TARGET, 1.0, Some("5 4"));
        }
    }
    axis_time(svg, plot, x, a.seconds);
}

/// The range of a loudness axis that shows `values`: multiples of six, at most 48 LU.
pub(super) fn loudness_range_of(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bottom = values.iter().copied().fold(f64::INFINITY, f64::min);
    if values.is_empty() {
        return (-48.0, 0.0);
    }
    let top = ((top + 1.0) / 6.0).ceil() * 6.0;
    let bottom = ((bottom - 1.0) / 6.0).floor() * 6.0;
    (bottom.clamp(top - 48.0, top - 18.0), top)
}

/// Points of a line over time.
pub(super) fn line_over(values: &[Option<f32>], step_s: f64, x: Scale, y: Scale) -> Vec<Option<(f64, f64)>> {
    let few = columns(values, MAX_COLUMNS, higher);
    let seconds = step_s * values.len().div_ceil(few.len().max(1)) as f64;
    few.iter().enumerate().map(|(i, v)| v.map(|v| (x.at((i + 1) as f64 * seconds), y.at(f64::from(v))))).collect()
}

/// Lines at multiples of six.
pub(super) fn sixes(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let (from, to) = ((low / 6.0).ceil() as i64, (high / 6.0).floor() as i64);
    (from..=to).map(|i| i as f64 * 6.0)
}

fn loudness(svg: &mut Svg, card: Area, a: &Analysis) {
    let plot = panel(svg, card, "Loudness over time (LUFS)");
    let t = &a.timeline;
    let shown = t.short_term_lufs.iter().chain(&t.momentary_lufs).flatten().map(|&v| f64::from(v));
    let (low, high) = loudness_range_of(shown.chain(a.integrated_lufs));
    let y = Scale::linear(low, high, plot.bottom(), plot.y);
    let x = Scale::linear(0.0, a.seconds, plot.x, plot.right());
    grid_y(svg, plot, y, sixes(low, high), |v| signed(Some(v), 0));
    svg.polyline(line_over(&t.momentary_lufs, t.step_s, x, y), SOFT, 1.0);
    svg.polyline(line_over(&t.short_term_lufs, t.step_s, x, y), AFTER, 2.2);
    if let Some(i) = a.integrated_lufs {
        svg.line((plot.x, y.at(i)), (plot.right(), y.at(i)), TARGET, 1.4, Some("7 4"));
    }
    axis_time(svg, plot, x, a.seconds);
    legend(
        svg,
        card.right() - 18.0,
        card.y + 26.0,
        &[("momentary, 400 ms", SOFT), ("short-term, 3 s", AFTER), ("integrated", TARGET)],
    );
}

/// Room for all bands down to 60 dB below the loudest, in steps of ten.
pub(super) fn spectrum_range<'a>(bands: impl IntoIterator<Item = &'a BandLevel>) -> (f64, f64) {
    let loudest = bands.into_iter().fold(-110.0, |m: f64, b| m.max(b.level_db));
    let top = (loudest / 10.0).ceil() * 10.0;
    (top - 60.0, top)
}

fn spectrum(svg: &mut Svg, card: Area, bands: &[BandLevel]) {
    let plot = panel(svg, card, "Spectrum in 1/3 octaves (dB)");
    let (low, high) = spectrum_range(bands);
    let y = Scale::linear(low, high, plot.bottom(), plot.y);
    let x = frequency_scale(plot);
    grid_y(svg, plot, y, (0..=6).map(|i| high - 10.0 * f64::from(i)), |v| signed(Some(v), 0));
    for band in bands.iter().filter(|b| b.level_db > low) {
        let (left, right) = (x.at(band.center_hz * 0.8913) + 1.2, x.at(band.center_hz * 1.122) - 1.2);
        let top = y.at(band.level_db);
        svg.rect(area(left, top, right - left, plot.bottom() - top), 2.0, AFTER, None);
    }
    axis_frequency(svg, plot, x, bands.last().map_or(0.0, |b| b.center_hz));
}

pub(super) fn frequency_scale(plot: Area) -> Scale {
    Scale::log(22.0, 22_600.0, plot.x, plot.right())
}

fn facts(svg: &mut Svg, card: Area, a: &Analysis) {
    let inside = panel(svg, card, "Image and faults");
    let (left, right) = (card.x + 18.0, card.right() - 18.0);
    let mut y = inside.y + 8.0;
    let gauges = [
        ("Correlation", a.correlation, -1.0, 1.0, ["−1", "0", "+1"]),
        ("Width", a.width, 0.0, 1.0, ["mono", "", "side only"]),
    ];
    for (name, value, low, high, ends) in gauges {
        svg.text(left, y, Anchor::Start, font(12.0, 400, INK), name);
        svg.text(right, y, Anchor::End, font(12.0, 600, INK), &signed(value, 2));
        let bar = area(left, y + 8.0, right - left, 6.0);
        svg.rect(bar, 3.0, GRID, None);
        let scale = Scale::linear(low, high, bar.x, bar.right());
        if let Some(v) = value {
            let (from, to) = (scale.at(0.0).min(scale.at(v)), scale.at(0.0).max(scale.at(v)));
            svg.rect(area(from, bar.y, to - from, bar.h), 3.0, if v < 0.0 { BAD } else { AFTER }, None);
        }
        for (at, anchor, end) in [
            (bar.x, Anchor::Start, ends[0]),
            (bar.x + bar.w / 2.0, Anchor::Middle, ends[1]),
            (bar.right(), Anchor::End, ends[2]),
        ] {
            if !end.is_empty() {
                svg.text(at, bar.bottom() + 13.0, anchor, font(9.5, 400, BEFORE), end);
            }
        }
        y += 50.0;
    }
    let dc = a.dc_offset.iter().copied().fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
    let rows = [
        ("Spectral centroid", a.centroid_hz.map_or("–".into(), |hz| format!("{hz:.0} Hz")), false),
        ("Sample peak", format!("{} dBFS", signed(a.sample_peak_dbfs, 2)), false),
        ("DC offset, largest", signed(Some(dc), 5), dc.abs() > 0.001),
        ("Clipped samples", a.clipped_samples.to_string(), a.clipped_samples > 0),
        ("NaN or infinite samples", a.non_finite_samples.to_string(), a.non_finite_samples > 0),
    ];
    for (name, value, wrong) in rows {
        svg.text(left, y, Anchor::Start, font(12.0, 400, INK), name);
        svg.text(right, y, Anchor::End, font(12.0, 600, if wrong { BAD } else { INK }), &value);
        y += 25.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::analyze;
    use crate::audio::AudioBuffer;
    use crate::testing::Signal;

    #[test]
    fn anything_has_a_picture() {
        let music = Signal::Music { seed: 1 }.render(44_100, 2, 8.0).unwrap();
        let loud = Signal::Noise { level_dbfs: 40.0, seed: 1 }.render(48_000, 8, 1.0).unwrap();
        let empty = AudioBuffer::new(8_000, 1, 0).unwrap();
        let silence = AudioBuffer::new(384_000, 2, 100_000).unwrap();
        for audio in [music, loud, empty, silence] {
            let svg = analysis_svg(&analyze(&audio).unwrap());
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            for wrong in ["\"NaN", "\"inf", "\"-inf", ">NaN<", ">inf<"] {
                assert!(!svg.contains(wrong), "{wrong}");
            }
            assert!(svg.len() < 300_000, "{} bytes", svg.len());
        }
    }
}
