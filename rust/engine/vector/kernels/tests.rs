use half::f16;
use proptest::prelude::*;

use super::super::codes::{BLOCK_ROWS, CodeQuery, PLANES, block_byte_len, tables};
use super::super::layout::LANES;
use super::super::query::QueryVector;
use super::*;

/// Cheap numbers that look random.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 16 ^ state << 40
    }
}

fn unit(word: u64) -> f32 {
    (word & 0xffff) as f32 / 32768.0 - 1.0
}

fn faster() -> Vec<Kernels> {
    available().into_iter().filter(|kernels| kernels.name != scalar::KERNELS.name).collect()
}

fn code_query(words: usize, next: &mut impl FnMut() -> u64) -> CodeQuery {
    let dimension = 64.0 * words as f32;
    let planes: Vec<u64> = (0..words * PLANES).map(|_| next()).collect();
    CodeQuery {
        tables: tables(&planes),
        planes,
        offset: 15.0 * 0.1676 / dimension.sqrt() * dimension.sqrt(),
        slope: 2.0 * 0.1676 / dimension,
        base: 0.1 * unit(next()),
        square: 0.9,
        error_square: 0.01,
        residual_base: 0.9,
        spread: 0.5 / (dimension - 1.0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

    #[test]
    fn every_kernel_gives_the_same_inner_product_to_the_bit(dimension in 1_usize..=4096, seed: u64) {
        let mut next = noise(seed);
        let components: Vec<f32> = (0..dimension).map(|_| unit(next()) + 1e-6).collect();
        // Subnormal and large halves as well.
        let stored: Vec<u8> = (0..dimension)
            .flat_map(|_| f16::from_f32_const(unit(next()) * 10_f32.powi((next() % 9) as i32 - 7)).to_le_bytes())
            .collect();
        let query = QueryVector::new("query", &components)?;
        let truth = (scalar::KERNELS.dot)(query.padded(), &stored);
        for kernels in faster() {
            let got = (kernels.dot)(query.padded(), &stored);
            prop_assert_eq!(got.to_bits(), truth.to_bits(), "{} at {}", kernels.name, dimension);
        }
    }

    #[test]
    fn every_kernel_gives_the_same_product_with_nibbles(runs in 0_usize..=32, seed: u64, extreme: bool) {
        let mut next = noise(seed);
        let levels: Vec<i8> = (0..runs * 128).map(|_| if extreme { -127 } else { next() as i8 }).collect();
        let code: Vec<u8> = (0..runs * 64).map(|_| if extreme { 255 } else { next() as u8 }).collect();
        let truth = (scalar::KERNELS.nibble_dot)(&levels, &code);
        for kernels in faster() {
            prop_assert_eq!((kernels.nibble_dot)(&levels, &code), truth, "{} at {} runs", kernels.name, runs);
        }
    }

    #[test]
    fn every_kernel_gives_the_same_products_with_bytes(
        runs in 1_usize..=128, rows in 0_usize..4, seed: u64, extreme: bool,
    ) {
        let mut next = noise(seed);
        let count = runs * LANES;
        let level = |word: u64| (word % 8191) as i16 - LARGEST_LEVEL;
        let levels: Vec<i16> = (0..count).map(|_| if extreme { -LARGEST_LEVEL } else { level(next()) }).collect();
        let bytes: Vec<i8> = (0..rows * count).map(|_| if extreme { 127 } else { (next() as i8).max(-127) }).collect();
        let product = |row: &[i8]| levels.iter().zip(row).map(|(&level, &byte)| i64::from(level) * i64::from(byte)).sum();
        let truth: Vec<i64> = bytes.chunks_exact(count).map(product).collect();
        for kernels in available() {
            let mut sums = vec![1; rows];
            (kernels.byte_dots)(&levels, &bytes, &mut sums);
            let got: Vec<i64> = sums.into_iter().map(i64::from).collect();
            prop_assert_eq!(&got, &truth, "{} at {} runs", kernels.name, runs);
        }
    }

    #[test]
    fn every_kernel_adds_the_same_squares(
        count in 0_usize..200, weights in prop::array::uniform4(-1.0_f32..1.0), less in 0_u8..3, seed: u64,
    ) {
        let mut next = noise(seed);
        let codes: Vec<u8> = (0..4 * count).map(|_| next() as u8).collect();
        let asked = [0, 1, 2, 3].map(|at| Squares {
            weight: weights[at],
            less: less * (at as u8 % 2),
            codes: &codes[at * count..(at + 1) * count],
        });
        let sums: Vec<f32> = (0..count).map(|_| unit(next())).collect();
        let added = |kernels: &Kernels| {
            let mut sums = sums.clone();
            (kernels.add_squares)(&asked, &mut sums);
            sums.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let truth = added(&scalar::KERNELS);
        for kernels in faster() {
            prop_assert_eq!(added(&kernels), &truth[..], "{}", kernels.name);
        }
    }

    #[test]
    fn every_kernel_picks_the_same_candidates_to_the_bit(
        words in 1_usize..=72, blocks in 0_usize..4, floor in -0.5_f32..1.5, seed: u64,
    ) {
        let mut next = noise(seed);
        let query = code_query(words, &mut next);
        let mut bytes = Vec::new();
        for _ in 0..blocks {
            bytes.extend((0..words * BLOCK_ROWS).flat_map(|_| next().to_le_bytes()));
            for (centre, spread) in [(1.25, 0.2), (0.0, 0.1)] {
                bytes.extend(
                    (0..BLOCK_ROWS).flat_map(|_| f16::from_f32_const(centre + spread * unit(next())).to_le_bytes()),
                );
            }
        }
        assert_eq!(bytes.len(), blocks * block_byte_len(words));
        let scan = |kernels: &Kernels| {
            let mut found = Vec::new();
            (kernels.scan)(&query, &bytes, floor, 96, &mut found);
            found
        };
        let uppers = |kernels: &Kernels| {
            let mut found = Vec::new();
            (kernels.uppers)(&query, &bytes, &mut found);
            found.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let (truth, bounds) = (scan(&scalar::KERNELS), uppers(&scalar::KERNELS));
        prop_assert_eq!(bounds.len(), blocks * BLOCK_ROWS);
        for kernels in faster() {
            prop_assert_eq!(scan(&kernels), &truth[..], "{} at {} words", kernels.name, words);
            prop_assert_eq!(uppers(&kernels), &bounds[..], "{} at {} words", kernels.name, words);
        }
        // What can't reach the floor is bounded below it.
        for (bound, position) in bounds.into_iter().zip(96..) {
            if f32::from_bits(bound) < floor {
                prop_assert!(truth.iter().all(|row| row.position != position));
            }
        }
    }
}

#[test]
fn every_dimension_up_to_three_registers_gives_the_same_inner_product() -> crate::Result<()> {
    let mut next = noise(5);
    for dimension in 1..=100 {
        let components: Vec<f32> = (0..dimension).map(|_| unit(next()) + 1e-6).collect();
        let stored: Vec<u8> = (0..dimension).flat_map(|_| f16::from_f32_const(unit(next())).to_le_bytes()).collect();
        let query = QueryVector::new("query", &components)?;
        let truth = (scalar::KERNELS.dot)(query.padded(), &stored);
        for kernels in faster() {
            assert_eq!((kernels.dot)(query.padded(), &stored).to_bits(), truth.to_bits(), "{dimension}");
        }
    }
    Ok(())
}

#[test]
fn damaged_factors_are_rescored_rather_than_dropped() {
    let mut next = noise(9);
    let query = code_query(2, &mut next);
    let mut bytes = vec![0_u8; block_byte_len(2)];
    let factors = bytes.len() - 4 * BLOCK_ROWS;
    bytes[factors + 6..factors + 8].copy_from_slice(&f16::NAN.to_le_bytes());
    for kernels in available() {
        let mut found = Vec::new();
        (kernels.scan)(&query, &bytes, 2.0, 0, &mut found);
        assert_eq!(found.iter().map(|row| row.position).collect::<Vec<_>>(), [3], "{}", kernels.name);
    }
}
