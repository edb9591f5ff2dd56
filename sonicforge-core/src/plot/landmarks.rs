//! The picture of a match: the constellations of query and track over the spectrogram of the query, and the histogram of offsets.

use data_encoding::BASE64;

use crate::fingerprint::Explanation;

use super::svg::{
    AFTER, Anchor, Area, BEFORE, GRID, INK, MUTED, Scale, Svg, TARGET, area, axis_time, font, grid_y, hertz, legend,
    panel,
};

const WIDTH: f64 = 1_200.0;
const EDGE: f64 = 24.0;
const GAP: f64 = 16.0;
/// Seconds of a bar of the histogram.
const BAR_S: f64 = 0.25;
/// Bars that are drawn at most; more are joined.
const BARS: usize = 500;

/// One self-contained picture of why a match is one.
pub fn match_svg(explanation: &Explanation) -> String {
    let mut svg = Svg::new(WIDTH);
    let (wide, found) = (WIDTH - 2.0 * EDGE, &explanation.found);
    svg.text(EDGE, 50.0, Anchor::Start, font(24.0, 700, INK), &short(&found.id, 80));
    let said = format!(
        "score {:.1} · at {:.2} s of the track · pitch × {:.4} · tempo × {:.4}",
        found.score, found.track_start_s, found.pitch_factor, found.tempo_factor
    );
    svg.text(EDGE, 76.0, Anchor::Start, font(13.0, 500, MUTED), &said);
    plane(&mut svg, area(EDGE, 96.0, wide, 470.0), explanation);
    let top = 96.0 + 470.0 + GAP;
    histogram(&mut svg, area(EDGE, top, wide, 240.0), explanation);
    svg.finish(top + 240.0 + EDGE, &format!("Why {} was found", found.id))
}

fn short(text: &str, most: usize) -> String {
    let skip = text.chars().count().saturating_sub(most);
    if skip == 0 { text.into() } else { ['…'].into_iter().chain(text.chars().skip(skip + 1)).collect() }
}

fn plane(svg: &mut Svg, card: Area, e: &Explanation) {
    let plot = panel(svg, card, "Peaks of the query and of the track, and the landmarks that agree");
    let entries = [("query", BEFORE), ("track", TARGET), ("landmark", AFTER)];
    legend(svg, card.right() - 58.0, card.y + 26.0, &entries);
    // Time runs to the right, frequency upwards.
    let bands = e.spectrogram.len() / e.frames.max(1);
    let mut pixels = vec![255u8; e.frames * bands];
    for (t, frame) in e.spectrogram.chunks_exact(bands.max(1)).enumerate() {
        for (band, level) in frame.iter().enumerate() {
            pixels[(bands - 1 - band) * e.frames + t] = 255 - level / 3;
        }
    }
    if let Some(png) = gray_png(e.frames, bands, &pixels) {
        svg.image(plot, &format!("data:image/png;base64,{}", BASE64.encode(&png)));
    }
    let x = Scale::linear(0.0, e.seconds, plot.x, plot.right());
    let y = Scale::log(e.range_hz.0, e.range_hz.1, plot.bottom(), plot.y);
    grid_y(svg, plot, y, [125.0, 250.0, 500.0, 1_000.0, 2_000.0], hertz);
    axis_time(svg, plot, x, e.seconds);
    for l in e.landmarks.iter().filter(|l| l.agrees) {
        let at = |p: (f64, f64)| (x.at(p.0), y.at(p.1));
        svg.line(at(l.anchor), at(l.target), AFTER, 0.8, None);
    }
    for &(s, hz) in &e.query_peaks {
        svg.circle((x.at(s), y.at(hz)), 2.2, BEFORE, None);
    }
    for &(s, hz) in &e.track_peaks {
        svg.circle((x.at(s), y.at(hz)), 3.6, "none", Some(TARGET));
    }
}

fn histogram(svg: &mut Svg, card: Area, e: &Explanation) {
    let plot = panel(svg, card, "Where the shared landmarks say that the track lies");
    let offsets = || e.landmarks.iter().map(|l| l.offset_s);
    let low = offsets().fold(0.0, f64::min).floor();
    let high = offsets().fold(10.0, f64::max).ceil();
    let bar = BAR_S * ((high - low) / BAR_S / BARS as f64).ceil().max(1.0);
    let mut counts = vec![0usize; ((high - low) / bar) as usize + 1];
    offsets().for_each(|o| counts[((o - low) / bar) as usize] += 1);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let x = Scale::linear(low, high, plot.x, plot.right());
    let y = Scale::linear(0.0, most as f64 * 1.05, plot.bottom(), plot.y);
    let step = (most as f64 / 4.0).ceil().max(1.0);
    grid_y(svg, plot, y, (0..=4).map(|i| f64::from(i) * step).take_while(|v| *v <= most as f64), |v| format!("{v}"));
    let here = e.found.track_start_s - e.found.query_start_s * e.found.tempo_factor;
    for (i, &n) in counts.iter().enumerate().filter(|c| *c.1 > 0) {
        let (from, to) = (low + i as f64 * bar, low + (i + 1) as f64 * bar);
        let color = if (from - bar..to + bar).contains(&here) { AFTER } else { BEFORE };
        let (left, top) = (x.at(from), y.at(n as f64));
        svg.rect(area(left, top, (x.at(to) - left).max(1.2), plot.bottom() - top), 0.0, color, None);
    }
    svg.line((plot.x, plot.bottom()), (plot.right(), plot.bottom()), GRID, 1.0, None);
    for i in 0..=8 {
        let value = low + (high - low) * f64::from(i) / 8.0;
        svg.text(x.at(value), plot.bottom() + 18.0, Anchor::Middle, font(10.5, 400, MUTED), &format!("{value:.0} s"));
    }
}

/// A gray picture, or none when it is empty.
fn gray_png(width: usize, height: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(out)
}
