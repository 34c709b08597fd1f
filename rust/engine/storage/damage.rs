//! Every byte that goes wrong: an error, or for the end of a log a shorter prefix. Never a panic, never another answer.

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::deletes::{read_deletes, write_deletes};
use super::log::Log;
use super::log_format::LOG_HEADER_BYTES;
use super::manifest::{Manifest, PartEntry};
use super::memory::MemoryStorage;
use super::names::{FileName, create_directories};
use super::part_file::{open_part, verify_part, write_part};
use super::replay::{recover, replay};
use super::seam::Storage;
use super::section::{BLOCK_BYTES, SectionBytes};
use crate::error::{Error, Result};

fn empty_storage() -> Result<MemoryStorage> {
    let storage = MemoryStorage::new();
    create_directories(&storage)?;
    Ok(storage)
}

fn overwrite(storage: &dyn Storage, name: FileName, bytes: &[u8]) -> Result<()> {
    storage.create(&name.to_string())?.write_all(bytes)
}

/// Each change of one byte (lowest bit, highest bit, all bits), each cut, and one byte too many, given to `check`.
fn each_damage(storage: &dyn Storage, name: FileName, mut check: impl FnMut(&str, usize) -> Result<()>) -> Result<()> {
    let whole = storage.load(&name.to_string())?;
    for at in 0..whole.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
            overwrite(storage, name, &bytes)?;
            check(&format!("byte {at} xor {mask:#x}"), at)?;
        }
        overwrite(storage, name, whole.get(..at).unwrap_or_default())?;
        check(&format!("cut to {at} bytes"), at)?;
    }
    let mut longer = whole.clone();
    longer.push(0);
    overwrite(storage, name, &longer)?;
    check("one byte too many", whole.len())?;
    overwrite(storage, name, &whole)
}

fn is_noticed<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Damaged { .. } | Error::FormatUnsupported { .. } | Error::NotALibrary { .. }))
}

#[test]
fn no_damaged_byte_of_a_part_goes_unnoticed() -> Result<()> {
    let storage = empty_storage()?;
    let sections: SectionBytes = vec![
        ("videos.ids".to_owned(), b"roof".to_vec()),
        ("text/empty".to_owned(), Vec::new()),
        ("vector/frame.f16".to_owned(), (0..=255).collect()),
    ];
    let byte_len = write_part(&storage, 3, &sections)?;
    let answer_is_whole = || -> Result<bool> {
        let opened = open_part(&storage, 3, byte_len)?;
        for (name, bytes) in &sections {
            match opened.get(name) {
                Some(section) if section.all()? == bytes => {}
                _ => return Ok(false),
            }
        }
        Ok(opened.len() == sections.len())
    };
    assert!(answer_is_whole()?);
    verify_part(&storage, 3, byte_len)?;
    each_damage(&storage, FileName::Part(3), |damage, _| {
        assert!(is_noticed(&verify_part(&storage, 3, byte_len)), "{damage}");
        let answer = answer_is_whole();
        assert!(is_noticed(&answer) || matches!(answer, Ok(true)), "{damage}: {answer:?}");
        Ok(())
    })?;
    assert!(answer_is_whole()?);
    Ok(())
}

#[test]
fn damage_in_one_block_leaves_the_other_blocks_readable() -> Result<()> {
    let storage = empty_storage()?;
    let byte_len = write_part(&storage, 3, &vec![("long".to_owned(), vec![7; BLOCK_BYTES * 3])])?;
    let mut bytes = storage.load(&FileName::Part(3).to_string())?;
    bytes.iter_mut().skip(64 + BLOCK_BYTES).take(1).for_each(|byte| *byte ^= 1);
    overwrite(&storage, FileName::Part(3), &bytes)?;
    let opened = open_part(&storage, 3, byte_len)?;
    let section = opened.get("long").ok_or(Error::Internal { detail: "no section".to_owned() })?;
    assert_eq!(section.slice(0..BLOCK_BYTES)?.len(), BLOCK_BYTES);
    assert!(is_noticed(&section.slice(BLOCK_BYTES - 1..BLOCK_BYTES + 1)));
    assert_eq!(section.slice(BLOCK_BYTES * 2..BLOCK_BYTES * 3)?.len(), BLOCK_BYTES);
    Ok(())
}

#[test]
fn no_damaged_byte_of_a_manifest_goes_unnoticed() -> Result<()> {
    let storage = empty_storage()?;
    let part = PartEntry { number: 1, byte_len: 64, row_count: 3, video_count: 2, deletes: Some(2), deleted_count: 1 };
    let manifest = Manifest { next_file: 3, parts: vec![part], ..Manifest::new()? };
    manifest.store(&storage)?;
    each_damage(&storage, FileName::Manifest, |damage, _| {
        assert!(is_noticed(&Manifest::load(&storage)), "{damage}");
        Ok(())
    })?;
    assert_eq!(Manifest::load(&storage)?, manifest);
    Ok(())
}

#[test]
fn no_damaged_byte_of_a_deletes_file_goes_unnoticed() -> Result<()> {
    let storage = empty_storage()?;
    let deleted = RoaringBitmap::from_iter([1, 5, 70_000]);
    write_deletes(&storage, 3, 4, &deleted)?;
    each_damage(&storage, FileName::Deletes { part: 3, number: 4 }, |damage, _| {
        assert!(is_noticed(&read_deletes(&storage, 3, 4, 100_000, 3)), "{damage}");
        Ok(())
    })?;
    assert_eq!(read_deletes(&storage, 3, 4, 100_000, 3)?, deleted);
    Ok(())
}

/// A log ended silently before its last record where that was damaged, and at any record where it was cut: nothing that
/// was left of it said that there had been more. `SYNCED` says it.
#[test]
fn no_damaged_byte_of_a_log_goes_unnoticed_nor_any_cut() -> Result<()> {
    let storage = empty_storage()?;
    let log = Log::create(&storage, 1, 1)?;
    let payloads: [&[u8]; 4] = [b"first", b"", b"third record", b"last"];
    for payload in payloads {
        log.append(payload)?;
        log.sync()?;
    }
    let end = log.byte_len();
    each_damage(&storage, FileName::Log(1), |damage, at| {
        let mut found = Vec::new();
        let outcome = replay(&storage, 1, &mut |_, payload| {
            found.push(payload.to_vec());
            Ok(())
        });
        let is_prefix = found.iter().zip(payloads).all(|(found, payload)| found == payload);
        assert!(is_prefix && found.len() <= payloads.len(), "{damage}: {found:?}");
        if at as u64 == end {
            // A byte too many is a write that a crash cut short.
            assert_eq!(outcome?.torn_bytes, 1, "{damage}");
        } else {
            assert!(is_noticed(&outcome), "{damage}");
        }
        Ok(())
    })
}

#[test]
fn a_missing_log_is_noticed_though_none_follows_it() -> Result<()> {
    let storage = empty_storage()?;
    let next = Log::create(&storage, 1, 1)?.next(&storage)?;
    next.append(b"acknowledged")?;
    next.sync()?;
    storage.remove(&FileName::Log(2).to_string())?;
    let message = recover(&storage, 1, 0, &mut |_, _| Ok(())).err().map(|error| error.to_string());
    assert!(message.as_ref().is_some_and(|message| message.contains("0000000000000002.log")), "{message:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_log_cut_anywhere_replays_to_a_prefix_with_all_that_was_synced(
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..8),
        first_sequence in 1..=u64::MAX / 2,
    ) {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, first_sequence)?;
        let (mut ends, mut synced) = (Vec::new(), 0);
        for (payload, sync) in &payloads {
            log.append(payload)?;
            ends.push(usize::try_from(log.byte_len()).unwrap_or(usize::MAX));
            if *sync {
                log.sync()?;
                synced = ends.len();
            }
        }
        let whole = storage.load(&FileName::Log(1).to_string())?;
        for cut in LOG_HEADER_BYTES..=whole.len() {
            overwrite(&storage, FileName::Log(1), whole.get(..cut).unwrap_or_default())?;
            let mut found = Vec::new();
            let outcome = recover(&storage, 1, first_sequence - 1, &mut |sequence, payload| {
                found.push((sequence, payload.to_vec()));
                Ok(())
            });
            let kept = ends.iter().filter(|&&end| end <= cut).count();
            if kept < synced {
                prop_assert!(is_noticed(&outcome), "cut to {} bytes: {:?}", cut, outcome);
                continue;
            }
            let end = outcome?;
            let expected: Vec<_> =
                (first_sequence..).zip(payloads.iter().map(|(payload, _)| payload.clone())).take(kept).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(end.valid_len + end.torn_bytes, cut as u64);
        }
    }

    #[test]
    fn bytes_that_nobody_wrote_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        header in any::<bool>(),
    ) {
        let storage = empty_storage()?;
        let names = [FileName::Manifest, FileName::Part(1), FileName::Log(1), FileName::Deletes { part: 1, number: 1 }];
        let magics: [&[u8]; 4] = [b"PIXRMANI", b"PIXRPART", b"PIXRWLOG", b"PIXRDELS"];
        for (name, magic) in names.into_iter().zip(magics) {
            let start = if header { [magic, &[1, 0, 0, 0]].concat() } else { Vec::new() };
            overwrite(&storage, name, &[start.as_slice(), bytes.as_slice()].concat())?;
        }
        let len = storage.len(&FileName::Part(1).to_string())?;
        prop_assert!(is_noticed(&Manifest::load(&storage)));
        prop_assert!(is_noticed(&open_part(&storage, 1, len)));
        prop_assert!(is_noticed(&replay(&storage, 1, &mut |_, _| Ok(()))));
        prop_assert!(is_noticed(&read_deletes(&storage, 1, 1, 10, 1)));
    }
}
