//! How two channels stand to each other: the correlation a phase meter shows, and how much of the sound is side.

use super::quantum::Quantum;

const LANES: usize = 16;

/// Sums of L², R² and L·R.
#[derive(Debug, Clone, Default)]
pub(super) struct Stereo {
    ll: f64,
    rr: f64,
    lr: f64,
}

impl Stereo {
    pub(super) fn feed(&mut self, q: &Quantum) {
        if q.peaks[0] == 0.0 && q.peaks[1] == 0.0 {
            return;
        }
        let [ll, rr, lr] = products(q.channel(0), q.channel(1));
        self.ll += ll;
        self.rr += rr;
        self.lr += lr;
    }

    /// Σ LR / √(Σ L² · Σ R²); `None` when a channel is silent.
    pub(super) fn correlation(&self) -> Option<f64> {
        let norm = (self.ll * self.rr).sqrt();
        (norm > 0.0).then(|| (self.lr / norm).clamp(-1.0, 1.0))
    }

    /// Σ S² / Σ (M² + S²) with M = (L + R)/2 and S = (L − R)/2; `None` in silence.
    pub(super) fn width(&self) -> Option<f64> {
        let all = self.ll + self.rr;
        (all > 0.0).then(|| ((all - 2.0 * self.lr) / (2.0 * all)).clamp(0.0, 1.0))
    }
}

fn products(l: &[f32], r: &[f32]) -> [f64; 3] {
    let mut sums = [[0.0f32; LANES]; 3];
    let ((l, l_tail), (r, r_tail)) = (l.as_chunks::<LANES>(), r.as_chunks::<LANES>());
    for (l, r) in l.iter().zip(r) {
        for i in 0..LANES {
            sums[0][i] += l[i] * l[i];
            sums[1][i] += r[i] * r[i];
            sums[2][i] += l[i] * r[i];
        }
    }
    for (i, (&l, &r)) in l_tail.iter().zip(r_tail).enumerate() {
        sums[0][i] += l * l;
        sums[1][i] += r * r;
        sums[2][i] += l * r;
    }
    sums.map(|lane| lane.iter().map(|&v| f64::from(v)).sum())
}
