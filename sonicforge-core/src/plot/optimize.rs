//! The picture of a [`PromptReport`]: posteriors, who is the best, reward and regret over time.

use crate::optimize::{PromptReport, VariantReport};

use super::svg::{
    AFTER, Anchor, Area, BEFORE, GOOD, GRID, INK, MUTED, Scale, Svg, TARGET, area, font, grid_y, legend, panel, signed,
};

const WIDTH: f64 = 1_200.0;
const EDGE: f64 = 24.0;
const GAP: f64 = 16.0;
/// Variants that are drawn; the others are only counted.
const SHOWN: usize = 8;
const COLORS: [&str; SHOWN] = [AFTER, TARGET, "#6c5bb5", "#b8860b", "#4a90c2", "#c4314b", "#7a8f3c", BEFORE];

/// One self-contained picture of `report`.
pub fn prompt_svg(report: &PromptReport) -> String {
    let mut svg = Svg::new(WIDTH);
    let wide = WIDTH - 2.0 * EDGE;
    svg.text(EDGE, 50.0, Anchor::Start, font(24.0, 700, INK), &short(&report.concept, 60));
    let color = if report.finished { GOOD } else { MUTED };
    svg.text(EDGE, 76.0, Anchor::Start, font(13.0, 500, color), &short(&report.verdict, 170));
    let shown = &report.variants[..report.variants.len().min(SHOWN)];
    posteriors(&mut svg, area(EDGE, 96.0, wide, 270.0), report, shown);
    let rows = area(EDGE, 96.0 + 270.0 + GAP, wide, 64.0 + 30.0 * shown.len() as f64);
    table(&mut svg, rows, report, shown);
    let half = (wide - GAP) / 2.0;
    let top = rows.bottom() + GAP;
    over_time(&mut svg, area(EDGE, top, half, 240.0), report, &format!("{} by time", short(&report.metric, 30)), |m| {
        m.0
    });
    over_time(&mut svg, area(EDGE + half + GAP, top, half, 240.0), report, "Regret, summed up", |m| m.1);
    svg.finish(top + 240.0 + EDGE, &format!("What is known of {}", report.concept))
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.into() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn posteriors(svg: &mut Svg, card: Area, report: &PromptReport, shown: &[VariantReport]) {
    let plot = panel(svg, card, "What is believed of the utility");
    let [low, high] = report.axis;
    let x = Scale::linear(low, high, plot.x, plot.right());
    let top = shown.iter().flat_map(|v| &v.density).copied().filter(|d| d.is_finite()).fold(1e-9, f64::max);
    let y = Scale::linear(0.0, top * 1.05, plot.bottom(), plot.y);
    for i in 0..=8 {
        let value = low + (high - low) * f64::from(i) / 8.0;
        let at = x.at(value);
        svg.line((at, plot.y), (at, plot.bottom()), GRID, 1.0, None);
        let decimals = if high - low < 0.8 {
            3
        } else if high - low < 8.0 {
            2
        } else {
            0
        };
        svg.text(at, plot.bottom() + 18.0, Anchor::Middle, font(10.5, 400, MUTED), &signed(Some(value), decimals));
    }
    // The leader last, so that it lies on top.
    for (i, v) in shown.iter().enumerate().rev() {
        let step = (high - low) / v.density.len().max(1) as f64;
        let points = v.density.iter().enumerate().map(|(k, d)| Some((x.at(low + (k as f64 + 0.5) * step), y.at(*d))));
        svg.polyline(points, COLORS[i], if i == 0 { 2.6 } else { 1.6 });
        let ends = [v.utility.low, v.utility.high].map(|u| (x.at(u), plot.bottom() - 3.0 - 4.0 * i as f64));
        svg.line(ends[0], ends[1], COLORS[i], 2.0, None);
    }
}

fn table(svg: &mut Svg, card: Area, report: &PromptReport, shown: &[VariantReport]) {
    let more = report.variants.len() - shown.len();
    let heading = match (more, report.resting) {
        (0, 0) => "Variants".to_string(),
        (more, resting) => format!("Variants; {more} more are offered, {resting} paused or retired"),
    };
    panel(svg, card, &heading);
    let (left, right) = (card.x + 18.0, card.right() - 18.0);
    let columns = [right - 470.0, right - 390.0, right - 190.0, right - 100.0, right];
    let mut y = card.y + 48.0;
    for (name, at) in ["share", "P(best)", "utility, 95 %", "loss", "rewards"].iter().zip(columns) {
        svg.text(at, y - 22.0, Anchor::End, font(11.0, 400, MUTED), name);
    }
    for (i, v) in shown.iter().enumerate() {
        let weight = if i == 0 { 600 } else { 400 };
        y += 30.0;
        svg.line((left, y - 20.0), (right, y - 20.0), GRID, 1.0, None);
        svg.rect(area(left, y - 10.0, 10.0, 10.0), 5.0, COLORS[i], None);
        let name = format!("{}{}", short(&v.variant.text, 88), if v.variant.control { " (control)" } else { "" });
        svg.text(left + 18.0, y, Anchor::Start, font(12.5, weight, INK), &name);
        let u = v.utility;
        let cells = [
            format!("{} %", signed(Some(100.0 * v.share), 1)),
            signed(Some(v.p_best), 3),
            format!("{} [{}, {}]", signed(Some(u.mean), 3), signed(Some(u.low), 3), signed(Some(u.high), 3)),
            signed(Some(v.expected_loss), 4),
            signed(v.metrics.first().map(|m| m.rewards), 0),
        ];
        for (cell, at) in cells.iter().zip(columns) {
            svg.text(at, y, Anchor::End, font(12.5, weight, INK), cell);
        }
    }
}

/// A line over the buckets: of (mean, regret so far) the one that `of` takes.
fn over_time(svg: &mut Svg, card: Area, report: &PromptReport, heading: &str, of: impl Fn((f64, f64)) -> f64) {
    let plot = panel(svg, card, heading);
    let mut regret = 0.0;
    let points: Vec<(f64, f64)> = report
        .history
        .iter()
        .map(|m| {
            regret += m.regret;
            (f64::from(m.epoch), of((m.mean, regret)))
        })
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let low = points.iter().map(|p| p.1).fold(0.0, f64::min);
    let high = points.iter().map(|p| p.1).fold(1e-9, f64::max);
    let y = Scale::linear(low, high, plot.bottom(), plot.y);
    let decimals = if high - low < 8.0 { 2 } else { 0 };
    grid_y(svg, plot, y, (0..=4).map(|i| low + (high - low) * f64::from(i) / 4.0), |v| signed(Some(v), decimals));
    let x = Scale::linear(first.0, last.0, plot.x, plot.right());
    svg.polyline(points.iter().map(|p| Some((x.at(p.0), y.at(p.1)))), AFTER, 2.0);
    if points.len() == 1 {
        let at = (plot.x, y.at(first.1));
        svg.line(at, (plot.right(), at.1), AFTER, 2.0, None);
    }
    svg.text(plot.x, plot.bottom() + 18.0, Anchor::Start, font(10.5, 400, MUTED), &format!("bucket {}", first.0));
    svg.text(plot.right(), plot.bottom() + 18.0, Anchor::End, font(10.5, 400, MUTED), &format!("bucket {}", last.0));
    let rewards: f64 = report.history.iter().map(|m| m.rewards).sum();
    legend(svg, card.right() - 18.0, card.y + 26.0, &[(&format!("{rewards} rewards"), AFTER)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{PromptOptimizer, Space};

    #[test]
    fn any_report_has_a_picture() {
        let values: Vec<String> = (0..12).map(|v| format!("<{v}>&")).collect();
        let optimizer = PromptOptimizer::in_memory(Space::of([("a\"b", values)]).unwrap()).unwrap();
        optimizer.start("c<", 12).unwrap();
        for n in 0..40 {
            let report = optimizer.report("c<").unwrap();
            let svg = prompt_svg(&report);
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            for wrong in ["\"NaN", "\"inf", ">NaN<", "<0>", "c< "] {
                assert!(!svg.contains(wrong), "{wrong}");
            }
            assert!(svg.len() < 200_000);
            if n < 10 {
                let s = optimizer.suggest("c<").unwrap();
                optimizer.reward(&s.token, f64::from(n % 2)).unwrap();
            }
        }
    }
}
