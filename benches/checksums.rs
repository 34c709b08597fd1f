//! What it costs that a part's blocks are verified when they are first touched.
//!
//! A part of 64 MiB on disk, in the system's cache: opening it, touching all of it for the first time (every block is
//! verified), touching it again, and, to compare, reading the file and verifying it as a whole, as an engine would that
//! checks at opening. `cargo bench --bench checksums`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pixr::storage::disk::DiskStorage;
use pixr::storage::names::create_directories;
use pixr::storage::part_file::{open_part, verify_part, write_part};
use pixr::storage::section::Section;

const SECTIONS: usize = 8;
const SECTION_BYTES: usize = 8 << 20;

/// Asks for every block, and reads one word of each cache line.
fn touch(sections: &BTreeMap<String, Section>) -> u64 {
    let sum = |section: &Section| -> u64 {
        let bytes = section.all().unwrap();
        bytes.chunks_exact(64).map(|line| u64::from_le_bytes(line[..8].try_into().unwrap())).fold(0, u64::wrapping_add)
    };
    sections.values().map(sum).fold(0, u64::wrapping_add)
}

fn first_touch(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(dir.path()).unwrap();
    create_directories(&storage).unwrap();
    let byte = |section: usize, at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ section as u8;
    let sections = (0..SECTIONS)
        .map(|section| (format!("section-{section}"), (0..SECTION_BYTES).map(|at| byte(section, at)).collect()))
        .collect();
    let byte_len = write_part(&storage, 1, &sections).unwrap();
    drop(sections);
    let open = || open_part(&storage, 1, byte_len).unwrap();
    black_box(touch(&open()));

    let mut group = criterion.benchmark_group("part of 64 MiB");
    group.sample_size(20);
    group.bench_function("open", |bencher| bencher.iter(open));
    group.throughput(Throughput::Bytes((SECTIONS * SECTION_BYTES) as u64));
    group.bench_function("first touch", |bencher| {
        bencher.iter_batched(open, |sections| touch(&sections), BatchSize::PerIteration);
    });
    let touched = open();
    touch(&touched);
    group.bench_function("later touch", |bencher| bencher.iter(|| touch(&touched)));
    group.bench_function("verify all at opening", |bencher| {
        bencher.iter(|| verify_part(&storage, 1, byte_len).unwrap())
    });
    group.finish();
}

criterion_group!(benches, first_touch);
criterion_main!(benches);
