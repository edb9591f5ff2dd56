//! Residual vector quantization: each codebook names what the ones before it left over.
//!
//! N. Zeghidour et al., "SoundStream: An End-to-End Neural Audio Codec", 2021, <https://arxiv.org/abs/2107.03312>; the
//! distance is written out as transformers' `EncodecEuclideanCodebook` does, `−(‖x‖² − 2·x·e + ‖e‖²)`, and of equally near
//! rows the first is taken.

use std::sync::OnceLock;

use super::weights::Tensors;
use crate::error::{Error, Result};
use crate::generate::musicgen::kernels::{PackedF32, Pool};

/// The codebooks, in the order in which they refine.
pub(super) struct Quantizer {
    books: Vec<Book>,
    size: usize,
    dim: usize,
}

struct Book {
    /// `[size][dim]`.
    rows: Vec<f32>,
    /// Packed, and ‖e‖² of each row, once something is encoded.
    search: OnceLock<(PackedF32, Vec<f32>)>,
}

impl Quantizer {
    /// `count` codebooks of `size` rows.
    pub fn load(tensors: &dyn Tensors, prefix: &str, count: usize, size: usize, dim: usize) -> Result<Self> {
        let books = (0..count)
            .map(|k| {
                let rows = tensors.f32(&format!("{prefix}quantizer.layers.{k}.codebook.embed"), &[size, dim])?;
                Ok(Book { rows, search: OnceLock::new() })
            })
            .collect::<Result<_>>()?;
        Ok(Self { books, size, dim })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.books.len()
    }

    /// Rows of each.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let packed = |book: &Book| book.search.get().map_or(0, |(w, norms)| w.bytes() + 4 * norms.len());
        self.books.iter().map(|book| 4 * book.rows.len() + packed(book)).sum()
    }

    /// Frames of `codes` (`[codebook][frame]`), if there are as many codebooks, all of one length, all codes in range.
    /// `first` is the number of the first frame in messages.
    pub fn check(&self, codes: &[Vec<u32>], first: usize) -> Result<usize> {
        if codes.len() != self.count() {
            return Err(Error::invalid(format!(
                "the codes have {} codebooks; this codec has {}",
                codes.len(),
                self.count()
            )));
        }
        let frames = codes[0].len();
        for (k, codes) in codes.iter().enumerate() {
            if codes.len() != frames {
                return Err(Error::invalid(format!(
                    "codebook {k} has {} frames and codebook 0 has {frames}; all must have as many",
                    codes.len()
                )));
            }
            if let Some(at) = codes.iter().position(|&code| code as usize >= self.size) {
                return Err(Error::invalid(format!(
                    "the code of codebook {k} in frame {} is {}; codes of this codec are below {}",
                    first + at,
                    codes[at],
                    self.size
                )));
            }
        }
        Ok(frames)
    }

    /// The sum of the rows that checked codes name, `[frames][dim]`.
    pub fn decode(&self, codes: &[Vec<u32>]) -> Vec<f32> {
        let mut sum = vec![0.0; codes[0].len() * self.dim];
        for (book, codes) in self.books.iter().zip(codes) {
            for (sum, &code) in sum.chunks_exact_mut(self.dim).zip(codes) {
                let row = &book.rows[code as usize * self.dim..][..self.dim];
                sum.iter_mut().zip(row).for_each(|(sum, e)| *sum += e);
            }
        }
        sum
    }

    /// The nearest rows to `latents`, `[frames][dim]`; codes are `[codebook][frame]`.
    pub fn encode(&self, pool: &Pool, latents: &[f32]) -> Vec<Vec<u32>> {
        const AT_ONCE: usize = 96;
        let mut codes = vec![Vec::with_capacity(latents.len() / self.dim); self.count()];
        let mut products = vec![0.0; AT_ONCE * self.size];
        for latents in latents.chunks(AT_ONCE * self.dim) {
            let mut rest = latents.to_vec();
            let frames = rest.len() / self.dim;
            for (book, codes) in self.books.iter().zip(&mut codes) {
                let (packed, norms) = book.search.get_or_init(|| {
                    let norms = book.rows.chunks_exact(self.dim).map(squared).collect();
                    (PackedF32::pack(&book.rows, self.size, self.dim), norms)
                });
                packed.matmul(pool, &rest, self.dim, frames, None, &mut products, self.size);
                for (x, products) in rest.chunks_exact_mut(self.dim).zip(products.chunks_exact(self.size)) {
                    let code = nearest(squared(x), products, norms);
                    let row = &book.rows[code * self.dim..][..self.dim];
                    x.iter_mut().zip(row).for_each(|(x, e)| *x -= e);
                    codes.push(code as u32);
                }
            }
        }
        codes
    }
}

/// ‖x‖².
fn squared(x: &[f32]) -> f32 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() as f32
}

/// The first index of the smallest ‖x‖² − 2·x·e + ‖e‖².
fn nearest(x_squared: f32, products: &[f32], norms: &[f32]) -> usize {
    let mut best = (0, f32::INFINITY);
    for (i, (&product, &norm)) in products.iter().zip(norms).enumerate() {
        let distance = x_squared - 2.0 * product + norm;
        if distance < best.1 {
            best = (i, distance);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::codec::tests::Table;
    use crate::generate::musicgen::kernels::tests::noise;

    fn books(count: usize, size: usize, dim: usize) -> (Table, Quantizer) {
        let mut table = Table::default();
        for k in 0..count {
            let rows = noise(k as u64, size * dim);
            table.put(format!("q.quantizer.layers.{k}.codebook.embed"), &[size, dim], rows);
        }
        let quantizer = Quantizer::load(&table, "q.", count, size, dim).unwrap();
        (table, quantizer)
    }

    #[test]
    fn codes_name_the_nearest_rows_of_what_is_left() {
        let (table, quantizer) = books(3, 50, 6);
        let pool = Pool::new(1).unwrap();
        let latents = noise(9, 200 * 6);
        let codes = quantizer.encode(&pool, &latents);
        assert_eq!(quantizer.check(&codes, 0).unwrap(), 200);
        for t in 0..200 {
            let mut rest: Vec<f64> = latents[t * 6..][..6].iter().map(|&x| f64::from(x)).collect();
            for k in 0..3 {
                let rows = table.f32(&format!("q.quantizer.layers.{k}.codebook.embed"), &[50, 6]).unwrap();
                let distance = |i: usize| -> f64 {
                    rest.iter().zip(&rows[i * 6..]).map(|(x, &e)| (x - f64::from(e)).powi(2)).sum()
                };
                let best = (0..50).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap();
                assert_eq!(codes[k][t] as usize, best, "codebook {k}, frame {t}");
                rest.iter_mut().zip(&rows[best * 6..]).for_each(|(x, &e)| *x -= f64::from(e));
            }
        }
        // What the codes say is as near as the last rest.
        let sum = quantizer.decode(&codes);
        let one: f32 =
            (0..6).map(|c| (0..3).map(|k| quantizer.books[k].rows[codes[k][7] as usize * 6 + c]).sum::<f32>()).sum();
        assert!((one - sum[42..48].iter().sum::<f32>()).abs() < 1e-5);
    }

    #[test]
    fn of_equal_rows_the_first_is_taken() {
        let mut table = Table::default();
        table.put("quantizer.layers.0.codebook.embed".into(), &[4, 1], vec![2.0, 1.0, 1.0, 3.0]);
        let quantizer = Quantizer::load(&table, "", 1, 4, 1).unwrap();
        // 1.5 lies between 2 and 1: exactly as far, in floats too.
        assert_eq!(quantizer.encode(&Pool::new(1).unwrap(), &[1.5, 1.0, 9.0]), [[0, 1, 3]]);
    }

    #[test]
    fn codes_out_of_range_are_named() {
        let (_, quantizer) = books(2, 8, 2);
        let message = |codes: &[Vec<u32>]| quantizer.check(codes, 10).unwrap_err().to_string();
        assert_eq!(
            message(&[vec![0, 1], vec![7, 8]]),
            "the code of codebook 1 in frame 11 is 8; codes of this codec are below 8"
        );
        assert!(message(&[vec![0]]).contains("1 codebooks; this codec has 2"));
        assert!(message(&[vec![0], vec![]]).contains("codebook 1 has 0 frames"));
        assert_eq!(quantizer.check(&[vec![], vec![]], 0).unwrap(), 0);
    }
}
