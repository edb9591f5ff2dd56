//! The picture of a mastering [`Report`]: before and after, what was taken away, and the verdict.

use crate::analyze::{Analysis, BandLevel};
use crate::master::Report;

use super::analysis::{
    MAX_COLUMNS, format_of, frequency_scale, line_over, loudness_range_of, sixes, spectrum_range, waveform,
};
use super::svg::{
    AFTER, Anchor, Area, BAD, BEFORE, GOOD, GRID, INK, MUTED, PANEL, SOFT, Scale, Svg, TARGET, area, axis_frequency,
    axis_time, columns, escape, font, grid_y, hertz, legend, panel, signed, stairs,
};

const WIDTH: f64 = 1_200.0;
const EDGE: f64 = 24.0;
const GAP: f64 = 16.0;
/// Width of a badge of the verdict.
const BADGE: f64 = 200.0;

/// One self-contained picture of `report`.
pub fn report_svg(report: &Report) -> String {
    let mut svg = Svg::new(WIDTH);
    let wide = WIDTH - 2.0 * EDGE;
    let mut y = header(&mut svg, report);
    let left = area(EDGE, y, wide * 0.58 - GAP / 2.0, 420.0);
    let half = (left.h - GAP) / 2.0;
    waveform(&mut svg, area(left.x, y, left.w, half), "Before", &report.before, BEFORE, None);
    waveform(
        &mut svg,
        area(left.x, y + half + GAP, left.w, half),
        "After",
        &report.after,
        AFTER,
        Some(report.target.ceiling_dbtp),
    );
    table(&mut svg, area(left.right() + GAP, y, wide - left.w - GAP, left.h), report);
    y = left.bottom() + GAP;
    loudness(&mut svg, area(EDGE, y, wide, 250.0), report);
    y += 250.0 + GAP;
    y = reduction(&mut svg, y, report) + GAP;
    let bottom = area(EDGE, y, wide * 0.58 - GAP / 2.0, 290.0);
    spectrum(&mut svg, bottom, report);
    notes(&mut svg, area(bottom.right() + GAP, y, wide - bottom.w - GAP, bottom.h), report);
    svg.finish(bottom.bottom() + EDGE, &format!("Mastering report for {}", report.target.name))
}

/// A page around the picture, with the summary and the whole report as JSON.
pub fn report_html(report: &Report) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Mastering report: {name}</title>\n\
         <style>\nbody {{ margin: 0; background: #f6f7f9; color: {INK}; font: 14px/1.5 'Inter', 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; }}\n\
         main {{ max-width: 1200px; margin: 0 auto; }}\nsvg {{ width: 100%; height: auto; display: block; }}\n\
         details {{ margin: 0 24px 20px; }}\nsummary {{ cursor: pointer; font-weight: 600; }}\n\
         pre {{ background: {PANEL}; border: 1px solid {GRID}; border-radius: 8px; padding: 14px 18px; overflow: auto; max-height: 70vh; \
         font: 12px/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; }}\n</style>\n</head>\n<body>\n<main>\n{svg}\
         <details open>\n<summary>Summary</summary>\n<pre>{summary}</pre>\n</details>\n\
         <details>\n<summary>Plan</summary>\n<pre>{plan}</pre>\n</details>\n</main>\n\
         <script type=\"application/json\" id=\"report\">{json}</script>\n</body>\n</html>\n",
        name = escape(&report.target.name),
        svg = report_svg(report),
        summary = escape_lines(&report.summary()),
        plan = escape_lines(&report.plan.to_json()),
        // Inside a script element only "</" and "<!--" would matter; JSON may write "<" as an escape.
        json = report.to_json().replace('<', "\\u003c"),
    )
}

fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn header(svg: &mut Svg, r: &Report) -> f64 {
    svg.text(EDGE, 50.0, Anchor::Start, font(24.0, 700, INK), &title(r));
    let asked = format!(
        "{} LUFS · at most {} dBTP · {}",
        signed(Some(r.target.loudness_lufs), 1),
        signed(Some(r.target.ceiling_dbtp), 1),
        format_of(&r.after)
    );
    svg.text(EDGE, 74.0, Anchor::Start, font(13.0, 400, MUTED), &asked);
    let verdict = |x: f64, good: bool, yes: &str, no: &str| {
        let (color, text) = if good { (GOOD, yes) } else { (BAD, no) };
        (x, color, text.to_string())
    };
    let badges = [
        verdict(WIDTH - EDGE - BADGE, r.ceiling_met, "✓ ceiling kept", "✗ ceiling exceeded"),
        verdict(WIDTH - EDGE - 2.0 * BADGE - GAP, r.loudness_reached, "✓ loudness reached", "✗ loudness not reached"),
    ];
    for (x, color, text) in badges {
        svg.rect(area(x, 32.0, BADGE, 34.0), 17.0, color, None);
        svg.text(x + BADGE / 2.0, 53.5, Anchor::Middle, font(12.5, 600, PANEL), &text);
    }
    let mut y = 96.0;
    if let Some(why) = &r.refusal {
        for line in wrap(why, 165) {
            svg.text(EDGE, y + 4.0, Anchor::Start, font(12.5, 400, BAD), &line);
            y += 18.0;
        }
        y += 6.0;
    }
    y
}

/// "Mastered for spotify", or to a number that has no name.
fn title(r: &Report) -> String {
    match r.target.name.as_str() {
        "custom" => format!("Mastered to {} LUFS", signed(Some(r.target.loudness_lufs), 1)),
        name => format!("Mastered for {}", cut(name, 40)),
    }
}

fn table(svg: &mut Svg, card: Area, r: &Report) {
    panel(svg, card, "Before and after");
    let (left, right) = (card.x + 18.0, card.right() - 18.0);
    let (before_x, after_x) = (right - 150.0, right - 52.0);
    svg.text(before_x, card.y + 26.0, Anchor::End, font(11.0, 400, MUTED), "before");
    svg.text(after_x, card.y + 26.0, Anchor::End, font(11.0, 600, AFTER), "after");
    type Get = fn(&Analysis) -> Option<f64>;
    let rows: [(&str, &str, usize, Get); 13] = [
        ("Integrated loudness", "LUFS", 2, |a| a.integrated_lufs),
        ("True peak", "dBTP", 2, |a| a.true_peak_dbtp),
        ("Short-term max", "LUFS", 1, |a| a.short_term_max_lufs),
        ("Momentary max", "LUFS", 1, |a| a.momentary_max_lufs),
        ("Loudness range", "LU", 1, |a| a.loudness_range_lu),
        ("Peak to loudness", "LU", 1, |a| a.plr_lu),
        ("Crest factor", "dB", 1, |a| a.crest_db),
        ("RMS", "dBFS", 1, |a| a.rms_dbfs),
        ("Spectral centroid", "Hz", 0, |a| a.centroid_hz),
        ("Correlation", "", 2, |a| a.correlation),
        ("Width", "", 2, |a| a.width),
        ("Clipped samples", "", 0, |a| Some(a.clipped_samples as f64)),
        ("NaN, infinite", "", 0, |a| Some(a.non_finite_samples as f64)),
    ];
    let mut y = card.y + 56.0;
    for (i, (name, unit, decimals, get)) in rows.into_iter().enumerate() {
        let weight = if i < 2 { 600 } else { 400 };
        if i > 0 {
            svg.line((left, y - 17.0), (right, y - 17.0), GRID, 1.0, None);
        }
        svg.text(left, y, Anchor::Start, font(12.5, weight, INK), name);
        svg.text(before_x, y, Anchor::End, font(12.5, 400, MUTED), &signed(get(&r.before), decimals));
        svg.text(after_x, y, Anchor::End, font(12.5, weight.max(500), INK), &signed(get(&r.after), decimals));
        svg.text(right, y, Anchor::End, font(10.5, 400, MUTED), unit);
        y += 27.4;
    }
}

fn loudness(svg: &mut Svg, card: Area, r: &Report) {
    let plot = panel(svg, card, "Short-term loudness over time (LUFS)");
    let (b, a) = (&r.before.timeline, &r.after.timeline);
    let shown = b.short_term_lufs.iter().chain(&a.short_term_lufs).flatten().map(|&v| f64::from(v));
    let (low, high) = loudness_range_of(shown.chain([r.target.loudness_lufs]));
    let y = Scale::linear(low, high, plot.bottom(), plot.y);
    let x = Scale::linear(0.0, r.after.seconds, plot.x, plot.right());
    grid_y(svg, plot, y, sixes(low, high), |v| signed(Some(v), 0));
    svg.line(
        (plot.x, y.at(r.target.loudness_lufs)),
        (plot.right(), y.at(r.target.loudness_lufs)),
        TARGET,
        1.4,
        Some("7 4"),
    );
    svg.polyline(line_over(&b.short_term_lufs, b.step_s, x, y), BEFORE, 2.0);
    svg.polyline(line_over(&a.short_term_lufs, a.step_s, x, y), AFTER, 2.2);
    axis_time(svg, plot, x, r.after.seconds);
    legend(
        svg,
        card.right() - 18.0,
        card.y + 26.0,
        &[("before", BEFORE), ("after", AFTER), ("target, integrated", TARGET)],
    );
}

/// One strip per thing that took gain away, all on one scale; returns where it ends.
fn reduction(svg: &mut Svg, top: f64, r: &Report) -> f64 {
    let t = &r.timeline;
    let mut strips: Vec<(String, f64, f64, &[f32])> = Vec::new();
    if let Some(d) = &r.de_esser {
        strips.push(("De-esser".into(), d.max_db, d.mean_db, &t.de_esser_db));
    }
    for (band, line) in r.bands.iter().zip(&t.bands_db) {
        let name = match (band.low_hz <= 0.0, band.high_hz * 2.0 >= f64::from(r.after.sample_rate)) {
            (true, _) => format!("Band below {} Hz", hertz(band.high_hz)),
            (_, true) => format!("Band above {} Hz", hertz(band.low_hz)),
            _ => format!("Band {} – {} Hz", hertz(band.low_hz), hertz(band.high_hz)),
        };
        strips.push((name, band.max_db, band.mean_db, line));
    }
    strips.push(("Limiter".into(), r.limiter.max_db, r.limiter.mean_db, &t.limiter_db));
    const STRIP: f64 = 58.0;
    let card = area(EDGE, top, WIDTH - 2.0 * EDGE, 44.0 + strips.len() as f64 * STRIP + 32.0);
    panel(svg, card, "Gain reduction over time (dB)");
    let deepest = strips.iter().map(|s| s.1).fold(0.0, f64::max);
    let full = (deepest / 3.0).ceil().max(1.0) * 3.0;
    let plot_left = card.x + 200.0;
    let plot = area(plot_left, card.y + 44.0, card.right() - 18.0 - plot_left, strips.len() as f64 * STRIP);
    let x = Scale::linear(0.0, r.after.seconds, plot.x, plot.right());
    for (i, (name, max, mean, line)) in strips.iter().enumerate() {
        let strip = area(plot.x, plot.y + i as f64 * STRIP, plot.w, STRIP - 18.0);
        let y = Scale::linear(0.0, full, strip.y, strip.bottom());
        svg.text(card.x + 18.0, strip.y + 17.0, Anchor::Start, font(12.0, 600, INK), name);
        let figures = format!("max {} · mean {}", signed(Some(*max), 1), signed(Some(*mean), 2));
        svg.text(card.x + 18.0, strip.y + 33.0, Anchor::Start, font(10.5, 400, MUTED), &figures);
        for v in [0.0, full] {
            svg.line((strip.x, y.at(v)), (strip.right(), y.at(v)), GRID, 1.0, None);
            svg.text(strip.x - 6.0, y.at(v) + 3.5, Anchor::End, font(9.5, 400, MUTED), &signed(Some(-v), 0));
        }
        let few = columns(line, MAX_COLUMNS, f32::max);
        // The last step may reach over the end of the sound.
        let seconds = t.step_s * line.len() as f64;
        let until = area(strip.x, strip.y, x.at(seconds) - strip.x, strip.h);
        let points = stairs(few.len(), until, |i| (strip.y, y.at(f64::from(few[i]))));
        svg.band(&points, if name == "Limiter" { TARGET } else { AFTER });
    }
    axis_time(svg, area(plot.x, plot.y, plot.w, plot.h - 8.0), x, r.after.seconds);
    card.bottom()
}

fn spectrum(svg: &mut Svg, card: Area, r: &Report) {
    let plot = panel(svg, card, "Spectrum in 1/3 octaves (dB)");
    // The original at the master's loudness: what differs then is the balance.
    let matched: Vec<BandLevel> =
        r.before.third_octave.iter().map(|b| BandLevel { level_db: b.level_db + r.gain_match_db, ..*b }).collect();
    let (low, high) = spectrum_range(matched.iter().chain(&r.after.third_octave));
    let y = Scale::linear(low, high, plot.bottom(), plot.y);
    let x = frequency_scale(plot);
    grid_y(svg, plot, y, (0..=6).map(|i| high - 10.0 * f64::from(i)), |v| signed(Some(v), 0));
    for band in r.after.third_octave.iter().filter(|b| b.level_db > low) {
        let (left, right) = (x.at(band.center_hz * 0.8913) + 1.0, x.at(band.center_hz * 1.122) - 1.0);
        let top = y.at(band.level_db);
        svg.rect(area(left, top, right - left, plot.bottom() - top), 2.0, SOFT, None);
    }
    let line = |bands: &[BandLevel]| {
        bands.iter().map(|b| (b.level_db > low).then(|| (x.at(b.center_hz), y.at(b.level_db)))).collect::<Vec<_>>()
    };
    svg.polyline(line(&matched), BEFORE, 2.2);
    svg.polyline(line(&r.after.third_octave), AFTER, 2.2);
    axis_frequency(svg, plot, x, r.after.third_octave.last().map_or(0.0, |b| b.center_hz));
    legend(svg, card.right() - 18.0, card.y + 26.0, &[("before, at equal loudness", BEFORE), ("after", AFTER)]);
}

fn notes(svg: &mut Svg, card: Area, r: &Report) {
    panel(svg, card, "What was done");
    let mut y = card.y + 52.0;
    let mut row = |svg: &mut Svg, bullet: bool, text: &str| {
        if y > card.bottom() - 12.0 {
            return;
        }
        if bullet {
            svg.rect(area(card.x + 18.0, y - 6.0, 4.0, 4.0), 2.0, AFTER, None);
        }
        svg.text(card.x + 30.0, y, Anchor::Start, font(12.0, 400, INK), text);
        y += 18.0;
    };
    let own = [
        format!(
            "{} dB into the limiter; it may take {} dB, the target needs {} dB",
            signed(Some(r.drive_db), 2),
            signed(Some(r.plan.max_gain_reduction_db), 1),
            signed(Some(r.needed_gain_reduction_db), 1)
        ),
        format!("original at equal loudness: {} dB", signed(Some(r.gain_match_db), 2)),
    ];
    for note in r.plan.notes.iter().chain(&own) {
        for (i, line) in wrap(note, 68).iter().enumerate() {
            row(svg, i == 0, line);
        }
    }
}

/// Lines of at most `width` characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word = cut(word, width);
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// The beginning of a text that may be too long.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::{Target, master};
    use crate::progress::NoProgress;
    use crate::testing::Signal;

    #[test]
    fn a_report_has_a_picture_and_a_page() {
        let music = Signal::Music { seed: 1 }.render(44_100, 2, 6.0).unwrap();
        let (_, mut report) = master(&music, &Target::named("spotify").unwrap(), &mut NoProgress).unwrap();
        report.target.name = "<script>alert('x')</script> & more".into();
        report.refusal = Some("the limiter would have to take <13.1> dB & the budget is 12 dB ".repeat(5));
        for text in [report_svg(&report), report_html(&report)] {
            assert!(!text.contains("\"NaN") && !text.contains("\"inf") && !text.contains("<script>a"));
            assert!(text.len() < 400_000, "{} bytes", text.len());
        }
        assert!(report_html(&report).contains(&report.to_json()[..20]));
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 5), ["abcd…"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
