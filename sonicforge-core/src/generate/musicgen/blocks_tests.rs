//! Blocks there and back, and through candle's reader of the same layouts.

use candle_core::quantized::k_quants::{BlockQ4K, BlockQ6K, BlockQ8_0, GgmlType};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::blocks::{dequantize_blocks, not_finite, quantize_blocks};
use super::precision::Precision;

const QUANTIZED: [Precision; 3] = [Precision::Q8_0, Precision::Q6K, Precision::Q4K];

/// Sums of twelve uniform numbers: as good as normal, with this deviation.
fn normal(count: usize, deviation: f32, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || random.next_u32() as f32 / u32::MAX as f32;
    (0..count).map(|_| deviation * ((0..12).map(|_| uniform()).sum::<f32>() - 6.0)).collect()
}

fn relative_error(x: &[f32], y: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|e| e * e).sum::<f64>();
    let error = square(&mut x.iter().zip(y).map(|(x, y)| f64::from(*x) - f64::from(*y)));
    (error / square(&mut x.iter().map(|x| f64::from(*x)))).sqrt()
}

/// What candle reads from these bytes.
fn through_candle<T: GgmlType>(bytes: &[u8]) -> Vec<f32> {
    let mut blocks = vec![T::zeros(); bytes.len() / size_of::<T>()];
    // SAFETY: blocks are plain integers; every pattern of bytes is one, and both sides have the same length.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), blocks.as_mut_ptr().cast::<u8>(), bytes.len()) };
    let mut values = vec![0.0; blocks.len() * T::BLCK_SIZE];
    T::to_float(&blocks, &mut values);
    values
}

fn read_by_candle(precision: Precision, bytes: &[u8]) -> Vec<f32> {
    match precision {
        Precision::Q8_0 => through_candle::<BlockQ8_0>(bytes),
        Precision::Q4K => through_candle::<BlockQ4K>(bytes),
        Precision::Q6K => through_candle::<BlockQ6K>(bytes),
        _ => unreachable!("not a block"),
    }
}

#[test]
fn errors_are_small_and_no_larger_than_candles() {
    let x = normal(64 * 1024, 0.02, 1);
    for (precision, most) in [(Precision::Q8_0, 0.0054), (Precision::Q6K, 0.0184), (Precision::Q4K, 0.0705)] {
        let bytes = quantize_blocks(precision, &x, 1024).unwrap();
        assert_eq!(Some(bytes.len()), precision.bytes(x.len(), 1024));
        let error = relative_error(&x, &dequantize_blocks(precision, &bytes));
        assert!(error < most, "{precision}: {error}");
    }
    let mut blocks = vec![BlockQ4K::zeros(); x.len() / 256];
    BlockQ4K::from_float(&x, &mut blocks);
    let mut candle = vec![0.0; x.len()];
    BlockQ4K::to_float(&blocks, &mut candle);
    let ours = dequantize_blocks(Precision::Q4K, &quantize_blocks(Precision::Q4K, &x, 1024).unwrap());
    let (ours, candle) = (relative_error(&x, &ours), relative_error(&x, &candle));
    assert!(ours < 0.96 * candle, "{ours} against {candle}");
}

/// Any bytes mean the same numbers here and there.
#[test]
fn the_layouts_are_those_of_ggml() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for precision in QUANTIZED {
        let mut bytes = vec![0; 200 * precision.block_bytes()];
        random.fill_bytes(&mut bytes);
        let (ours, candle) = (dequantize_blocks(precision, &bytes), read_by_candle(precision, &bytes));
        assert_eq!(ours.len(), 200 * precision.block());
        for (ours, candle) in ours.iter().zip(&candle) {
            let same = (ours - candle).abs() <= 1e-6 * candle.abs() || !candle.is_finite() && !ours.is_finite();
            assert!(same, "{precision}: {ours} {candle}");
        }
        // A scale that is no number is found, wherever it lies.
        let bad = ours.chunks(precision.block()).position(|block| block.iter().any(|x| !x.is_finite()));
        assert_eq!(not_finite(precision, &bytes), bad.map(|block| block * precision.block()), "{precision}");
    }
}

#[test]
fn the_floats_keep_their_bits() {
    let x: Vec<f32> = (0..96).map(|i| (i as f32 - 48.0) * 0.25).collect();
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        assert_eq!(dequantize_blocks(precision, &quantize_blocks(precision, &x, 3).unwrap()), x, "{precision}");
    }
}

/// Shapes of weights that a search can stumble over: constants of either sign, one outlier, all positive, tiny, zero.
#[test]
fn odd_weights() {
    let bell = normal(256, 1.0, 3);
    let cases: Vec<(&str, Vec<f32>, f64)> = vec![
        ("zero", vec![0.0; 256], 0.0),
        ("a constant", vec![0.7; 256], 0.02),
        ("a negative constant", vec![-0.7; 256], 0.02),
        ("two constants", (0..256).map(|i| if i / 32 % 2 == 0 { 0.5 } else { -0.5 }).collect(), 0.02),
        ("all positive", bell.iter().map(|x| x.abs() + 3.0).collect(), 0.1),
        ("all negative", bell.iter().map(|x| -x.abs() - 3.0).collect(), 0.1),
        ("an outlier", bell.iter().enumerate().map(|(i, x)| if i == 77 { 100.0 } else { *x }).collect(), 0.2),
        ("alternating", (0..256).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect(), 0.02),
        ("large", bell.iter().map(|x| x * 1e5).collect(), 0.1),
        ("small", bell.iter().map(|x| x * 1e-4).collect(), 0.1),
    ];
    for precision in QUANTIZED {
        for (name, x, most) in &cases {
            let y = dequantize_blocks(precision, &quantize_blocks(precision, x, 256).unwrap());
            let error =
                if *most == 0.0 { y.iter().fold(0f64, |m, y| m.max(y.abs().into())) } else { relative_error(x, &y) };
            assert!(error <= *most, "{precision}, {name}: {error}");
        }
        // Below what a scale can say: nothing, rather than something wild.
        for tiny in [1e-9, 1e-30, 1e-40, f32::from_bits(1)] {
            let x: Vec<f32> = bell.iter().map(|x| x * tiny).collect();
            let y = dequantize_blocks(precision, &quantize_blocks(precision, &x, 256).unwrap());
            assert!(y.iter().all(|y| y.abs() < 1e-5), "{precision} {tiny:e}");
        }
    }
}

#[test]
fn what_a_scale_cannot_hold_is_named() {
    for precision in QUANTIZED {
        for bad in [1e9, -1e9, 3e38, f32::INFINITY, f32::NAN] {
            let mut x = normal(1024, 1.0, 4);
            x[700] = bad;
            let error = quantize_blocks(precision, &x, 256).unwrap_err();
            assert_eq!(error.code(), "SF_MODEL");
            let word = if bad.is_nan() { "NaN".to_owned() } else { format!("{:e}", bad.abs()) };
            assert!(error.to_string().contains(&format!("row 2 holds {word}")), "{precision} {bad}: {error}");
        }
    }
    let error = quantize_blocks(Precision::F16, &[1.0, 70_000.0], 1).unwrap_err();
    assert!(error.to_string().contains("row 1 holds 7e4"), "{error}");
    let error = quantize_blocks(Precision::Q4K, &[0.0; 256], 128).unwrap_err();
    assert!(error.to_string().contains("rows of 128"), "{error}");
}

/// Registers of any width add in the same order.
#[test]
fn the_bytes_do_not_depend_on_the_machine() {
    let bytes = quantize_blocks(Precision::Q4K, &normal(4096, 0.3, 5), 256).unwrap();
    let digest =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(digest, 11000570540752820436, "of {} bytes", bytes.len());
}
