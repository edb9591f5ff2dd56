//! Chroma image → words: sixteen box filters over an integral image, two bits each (Ke, Hoiem, Sukthankar 2005; P. Viola,
//! M. Jones 2001 for the boxes).

use super::chroma::NOTES;

/// Frames that a word looks at: the widest filter.
pub(super) const FRAMES: usize = 16;

/// How a box is cut into a part A and a part B.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// A is the box, B is nothing.
    Sum,
    /// Upper notes against lower notes.
    Notes2,
    /// Later half against earlier half.
    Time2,
    /// The two quarters on one diagonal against those on the other.
    Quarters,
    /// The middle third of the notes against the outer ones.
    Notes3,
    /// The middle third of the time against the outer ones.
    Time3,
}

/// One filter and the three thresholds that make two bits of its value.
#[derive(Debug)]
pub(super) struct Classifier {
    pub shape: Shape,
    /// First note of the box.
    pub note: usize,
    /// Height of the box.
    pub notes: usize,
    /// Width of the box.
    pub frames: usize,
    /// In units of ln((1 + A) / (1 + B)), rising.
    pub thresholds: [f64; 3],
}

/// The last [`FRAMES`] frames, and their words.
#[derive(Debug, Clone)]
pub(super) struct Words {
    classifiers: &'static [Classifier; 16],
    /// exp of the thresholds: ln((1 + A)/(1 + B)) < t is asked as 1 + A < eᵗ·(1 + B), without a logarithm per filter.
    factors: [[f64; 3]; 16],
    rows: [[f64; NOTES]; FRAMES],
    /// Frames so far, up to `FRAMES`.
    filled: usize,
    /// Row that the next frame goes to.
    at: usize,
}

impl Words {
    pub fn new(classifiers: &'static [Classifier; 16]) -> Self {
        let factors = std::array::from_fn(|i| classifiers[i].thresholds.map(f64::exp));
        Self { classifiers, factors, rows: [[0.0; NOTES]; FRAMES], filled: 0, at: 0 }
    }

    /// Takes the next frame; from the sixteenth on each makes a word.
    pub fn push(&mut self, row: &[f64; NOTES]) -> Option<u32> {
        self.rows[self.at] = *row;
        self.at = (self.at + 1) % FRAMES;
        self.filled = (self.filled + 1).min(FRAMES);
        (self.filled == FRAMES).then(|| self.word())
    }

    fn word(&self) -> u32 {
        // Of these sixteen frames only: the word does not depend on what was before.
        let mut integral = Integral([[0.0; NOTES + 1]; FRAMES + 1]);
        for x in 0..FRAMES {
            let row = &self.rows[(self.at + x) % FRAMES];
            let mut sum = 0.0;
            for y in 0..NOTES {
                sum += row[y];
                integral.0[x + 1][y + 1] = integral.0[x][y + 1] + sum;
            }
        }
        let mut word = 0;
        for (classifier, factors) in self.classifiers.iter().zip(&self.factors) {
            let (a, b) = integral.parts(classifier);
            let level = factors.iter().filter(|&&f| 1.0 + a >= f * (1.0 + b)).count();
            word = word << 2 | [0, 1, 3, 2][level]; // Gray: neighbouring levels differ in one bit
        }
        word
    }
}

struct Integral([[f64; NOTES + 1]; FRAMES + 1]);

impl Integral {
    /// Sum over frames `x0..x1` and notes `y0..y1`.
    fn sum(&self, x0: usize, x1: usize, y0: usize, y1: usize) -> f64 {
        let i = &self.0;
        i[x1][y1] - i[x0][y1] - i[x1][y0] + i[x0][y0]
    }

    fn parts(&self, c: &Classifier) -> (f64, f64) {
        let (w, y0, y1) = (c.frames, c.note, c.note + c.notes);
        match c.shape {
            Shape::Sum => (self.sum(0, w, y0, y1), 0.0),
            Shape::Notes2 => {
                let middle = y0 + c.notes / 2;
                (self.sum(0, w, middle, y1), self.sum(0, w, y0, middle))
            }
            Shape::Time2 => (self.sum(w / 2, w, y0, y1), self.sum(0, w / 2, y0, y1)),
            Shape::Quarters => {
                let (x, y) = (w / 2, y0 + c.notes / 2);
                (self.sum(0, x, y, y1) + self.sum(x, w, y0, y), self.sum(0, x, y0, y) + self.sum(x, w, y, y1))
            }
            Shape::Notes3 => {
                let third = c.notes / 3;
                let (p, q) = (y0 + third, y0 + 2 * third);
                (self.sum(0, w, p, q), self.sum(0, w, y0, p) + self.sum(0, w, q, y1))
            }
            Shape::Time3 => {
                let third = w / 3;
                let (p, q) = (third, 2 * third);
                (self.sum(p, q, y0, y1), self.sum(0, p, y0, y1) + self.sum(q, w, y0, y1))
            }
        }
    }
}
