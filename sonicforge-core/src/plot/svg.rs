//! Scalable Vector Graphics 1.1 (<https://www.w3.org/TR/SVG11/>), as little of it as a chart needs: shapes, text, axes,
//! and the look that all pictures share.

use std::fmt::Write;

pub(super) const INK: &str = "#1c2430";
pub(super) const MUTED: &str = "#6a7486";
pub(super) const GRID: &str = "#e4e7ec";
pub(super) const PAPER: &str = "#f6f7f9";
pub(super) const PANEL: &str = "#ffffff";
pub(super) const BEFORE: &str = "#9aa4b5";
pub(super) const AFTER: &str = "#0d7f86";
pub(super) const SOFT: &str = "#9fd3d2";
pub(super) const TARGET: &str = "#e0662f";
pub(super) const GOOD: &str = "#1e8e5a";
pub(super) const BAD: &str = "#c4314b";

/// A picture that is being drawn.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    body: String,
}

/// Where a text stands: its beginning, middle or end is at x.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text: size in pixels, weight as in CSS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) weight: u32,
    pub(super) color: &'static str,
}

pub(super) const fn font(size: f64, weight: u32, color: &'static str) -> Font {
    Font { size, weight, color }
}

impl Svg {
    pub(super) fn new(width: f64) -> Self {
        Self { width, body: String::new() }
    }

    /// The whole document; `title` is what a screen reader says.
    pub(super) fn finish(self, height: f64, title: &str) -> String {
        let (w, h, title) = (number(self.width), number(height), escape(title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{title}\" font-family=\"'Inter','Segoe UI','Helvetica Neue','DejaVu Sans',Arial,sans-serif\">\n\
             <title>{title}</title>\n<rect width=\"{w}\" height=\"{h}\" fill=\"{PAPER}\"/>\n{}</svg>\n",
            self.body
        )
    }

    pub(super) fn rect(&mut self, area: Area, radius: f64, fill: &str, stroke: Option<&str>) {
        let Area { x, y, w, h } = area;
        let stroke = stroke.map(|s| format!(" stroke=\"{s}\"")).unwrap_or_default();
        self.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" fill=\"{fill}\"{stroke}/>",
            number(x),
            number(y),
            number(w.max(0.0)),
            number(h.max(0.0)),
            number(radius)
        ));
    }

    /// A dot or a ring.
    #[cfg(feature = "fingerprint")]
    pub(super) fn circle(&mut self, center: (f64, f64), radius: f64, fill: &str, stroke: Option<&str>) {
        let (x, y, r) = (number(center.0), number(center.1), number(radius));
        let stroke = stroke.map(|s| format!(" stroke=\"{s}\" stroke-width=\"1.2\"")).unwrap_or_default();
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{fill}\"{stroke}/>");
    }

    /// A picture within the picture, stretched to an area; `href` holds all of it.
    #[cfg(feature = "fingerprint")]
    pub(super) fn image(&mut self, at: Area, href: &str) {
        let (x, y, w, h) = (number(at.x), number(at.y), number(at.w), number(at.h));
        let _ = writeln!(
            self.body,
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" href=\"{href}\"/>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64, dashes: Option<&str>) {
        let dashes = dashes.map(|d| format!(" stroke-dasharray=\"{d}\"")).unwrap_or_default();
        self.put(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{color}\" stroke-width=\"{}\"{dashes}/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            number(width)
        ));
    }

    /// A line through points; `None` interrupts it.
    pub(super) fn polyline(&mut self, points: impl IntoIterator<Item = Option<(f64, f64)>>, color: &str, width: f64) {
        let mut path = String::new();
        let mut drawing = false;
        for point in points {
            match point {
                Some((x, y)) if x.is_finite() && y.is_finite() => {
                    let _ = write!(path, "{}{} {}", if drawing { 'L' } else { 'M' }, number(x), number(y));
                    drawing = true;
                }
                _ => drawing = false,
            }
        }
        if !path.is_empty() {
            self.put(format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{}\" stroke-linejoin=\"round\" \
                 stroke-linecap=\"round\"/>",
                number(width)
            ));
        }
    }

    /// What lies between two lines over the same x: (x, y of one, y of the other).
    pub(super) fn band(&mut self, points: &[(f64, f64, f64)], fill: &str) {
        let mut path = String::new();
        // Points between two of the same height say nothing.
        let level = |i: usize| (points[i].1, points[i].2);
        let says = |&i: &usize| i == 0 || i + 1 == points.len() || level(i - 1) != level(i) || level(i) != level(i + 1);
        let points: Vec<_> = (0..points.len()).filter(says).map(|i| points[i]).collect();
        let there = points.iter().map(|&(x, a, _)| (x, a));
        let back = points.iter().rev().map(|&(x, _, b)| (x, b));
        for (i, (x, y)) in there.chain(back).enumerate() {
            let _ = write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, number(x), number(y));
        }
        if !path.is_empty() {
            self.put(format_args!("<path d=\"{path}Z\" fill=\"{fill}\"/>"));
        }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\" font-size=\"{}\" font-weight=\"{}\" fill=\"{}\">{}</text>",
            number(x),
            number(y),
            number(font.size),
            font.weight,
            font.color,
            escape(text)
        ));
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }
}

/// A number for an attribute: one decimal, no trailing zero, never NaN.
fn number(x: f64) -> String {
    if !x.is_finite() {
        return "0".into();
    }
    let text = format!("{x:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text that may stand between tags and in attributes. Characters that XML does not know become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

pub(super) const fn area(x: f64, y: f64, w: f64, h: f64) -> Area {
    Area { x, y, w, h }
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.x + self.w
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// What is left inside of margins.
    pub(super) fn inside(&self, left: f64, top: f64, right: f64, bottom: f64) -> Area {
        area(self.x + left, self.y + top, self.w - left - right, self.h - top - bottom)
    }
}

/// Values along a stretch of pixels, in equal steps or in equal ratios.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, from, to, log: false }
    }

    pub(super) fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { log: true, ..Self::linear(low, high, from, to) }
    }

    /// The pixel of a value; values beyond the ends stay at the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }
}

/// A white card with a heading; returns where to draw.
pub(super) fn panel(svg: &mut Svg, card: Area, heading: &str) -> Area {
    svg.rect(card, 8.0, PANEL, Some(GRID));
    svg.text(card.x + 18.0, card.y + 26.0, Anchor::Start, font(13.0, 600, INK), heading);
    card.inside(58.0, 44.0, 18.0, 32.0)
}

/// Horizontal lines at `values` with their labels on the left.
pub(super) fn grid_y(
    svg: &mut Svg,
    plot: Area,
    y: Scale,
    values: impl IntoIterator<Item = f64>,
    label: impl Fn(f64) -> String,
) {
    for value in values {
        let at = y.at(value);
        svg.line((plot.x, at), (plot.right(), at), GRID, 1.0, None);
        svg.text(plot.x - 8.0, at + 3.5, Anchor::End, font(10.5, 400, MUTED), &label(value));
    }
}

/// Labels of seconds under a plot, at round times.
pub(super) fn axis_time(svg: &mut Svg, plot: Area, x: Scale, seconds: f64) {
    const STEPS: [f64; 18] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0,
        14_400.0,
    ];
    let step = STEPS.iter().copied().find(|s| seconds / s <= 12.0).unwrap_or(seconds / 10.0);
    for i in 0..=(seconds / step + 1e-9) as usize {
        let t = i as f64 * step;
        let at = x.at(t);
        svg.line((at, plot.bottom()), (at, plot.bottom() + 4.0), BEFORE, 1.0, None);
        svg.text(at, plot.bottom() + 18.0, Anchor::Middle, font(10.5, 400, MUTED), &clock(t, step));
    }
}

fn clock(t: f64, step: f64) -> String {
    if step < 1.0 {
        return format!("{t:.1} s");
    }
    let s = t.round() as u64;
    if s >= 3_600 || step >= 3_600.0 {
        format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// Labels of frequencies under a plot.
pub(super) fn axis_frequency(svg: &mut Svg, plot: Area, x: Scale, highest_hz: f64) {
    for hz in [31.5, 63.0, 125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0] {
        if hz <= highest_hz {
            svg.text(x.at(hz), plot.bottom() + 18.0, Anchor::Middle, font(10.5, 400, MUTED), &hertz(hz));
        }
    }
}

pub(super) fn hertz(hz: f64) -> String {
    if hz >= 1_000.0 { format!("{}k", number(hz / 1_000.0)) } else { number(hz) }
}

/// Colored dots with names, ending at `right`. One text, so that the renderer's own font sets the distances.
pub(super) fn legend(svg: &mut Svg, right: f64, y: f64, entries: &[(&str, &str)]) {
    let mut spans = String::new();
    for (i, (name, color)) in entries.iter().enumerate() {
        let gap = if i == 0 { "" } else { " dx=\"16\"" };
        let _ = write!(spans, "<tspan fill=\"{color}\"{gap}>●</tspan><tspan dx=\"5\">{}</tspan>", escape(name));
    }
    svg.put(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-size=\"11\" fill=\"{MUTED}\">{spans}</text>",
        number(right),
        number(y)
    ));
}

/// A number with its unit on a card.
pub(super) fn tile(svg: &mut Svg, card: Area, name: &str, value: &str, unit: &str) {
    svg.rect(card, 8.0, PANEL, Some(GRID));
    svg.text(card.x + 14.0, card.y + 22.0, Anchor::Start, font(11.0, 400, MUTED), name);
    svg.text(card.x + 14.0, card.y + 50.0, Anchor::Start, font(22.0, 600, INK), value);
    svg.text(card.right() - 12.0, card.y + 50.0, Anchor::End, font(11.0, 400, MUTED), unit);
}

/// With a real minus sign; a dash for nothing.
pub(super) fn signed(value: Option<f64>, decimals: usize) -> String {
    match value {
        Some(v) if v.is_finite() => {
            let text = format!("{v:.decimals$}");
            let is_zero = text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.'));
            if is_zero { text.trim_start_matches('-').into() } else { text.replace('-', "−") }
        }
        _ => "–".into(),
    }
}

/// The points of [`Svg::band`] for `n` equal columns: stairs when they are few, one point each when they are fine.
pub(super) fn stairs(n: usize, plot: Area, at: impl Fn(usize) -> (f64, f64)) -> Vec<(f64, f64, f64)> {
    let step = plot.w / n.max(1) as f64;
    let column = |i: usize| {
        let ((a, b), left) = (at(i), plot.x + i as f64 * step);
        if step < 2.0 && i > 0 && i + 1 < n {
            vec![(left + step / 2.0, a, b)]
        } else {
            vec![(left, a, b), (left + step, a, b)]
        }
    };
    (0..n).flat_map(column).collect()
}

/// At most `columns` values that stand for `values`, each joined from neighbours.
pub(super) fn columns<T: Copy>(values: &[T], columns: usize, join: impl Fn(T, T) -> T) -> Vec<T> {
    let per = values.len().div_ceil(columns.max(1)).max(1);
    values.chunks(per).map(|c| c[1..].iter().fold(c[0], |a, &b| join(a, b))).collect()
}

pub(super) fn higher(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(escape("<a href=\"x\">&'\u{0}\n"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd} ");
    }

    #[test]
    fn numbers_stay_short() {
        assert_eq!(
            (number(1.0), number(-0.04), number(2.26), number(f64::NAN)),
            ("1".into(), "0".into(), "2.3".into(), "0".into())
        );
        assert_eq!(
            (signed(Some(-14.04), 1), signed(Some(-0.01), 1), signed(None, 1)),
            ("−14.0".into(), "0.0".into(), "–".into())
        );
    }

    #[test]
    fn columns_keep_the_extremes() {
        let values: Vec<f32> = (0..10_001).map(|i| i as f32).collect();
        let few = columns(&values, 1_000, f32::max);
        assert!(few.len() <= 1_000);
        assert_eq!(few.last(), Some(&10_000.0));
        assert!(columns(&[] as &[f32], 10, f32::max).is_empty());
    }

    #[test]
    fn scales() {
        let x = Scale::log(20.0, 20_000.0, 0.0, 300.0);
        assert!((x.at(200.0) - 100.0).abs() < 1e-9);
        assert_eq!((x.at(1.0), x.at(1e9)), (0.0, 300.0));
        assert!(Scale::linear(0.0, 0.0, 0.0, 1.0).at(5.0).is_finite());
    }
}
