//! `kill -9` of a process that writes: what it said it had stored is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pixr::catalog::channel::Channel;
use pixr::library::{Access, Library};
use pixr::search::query::Query;

use crate::faults::tally::{Profile, Tally, profile};
use crate::films::{Film, id, prepare, put};

const CHILD: &str = "PIXR_TEST_CHILD_LIBRARY";

fn film(number: usize, version: usize) -> Film {
    Film {
        id: format!("v{:03}", number % 40),
        title: format!("take{version} solar"),
        tags: Vec::new(),
        duration: 30.0,
        segments: vec![(
            0.0,
            4.0,
            Some(vec![number as f32 + 1.0, 1.0, 0.0, 0.0, 2.0, 0.5]),
            Some(format!("word{number}")),
        )],
    }
}

/// Not a test of its own: what the test below runs in a process to kill.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let library = Library::open(Path::new(&path), Access::Create).unwrap();
    prepare(&library, true);
    let mut out = std::io::stdout();
    for number in 0.. {
        let name = id(&film(number, 0).id);
        if number % 7 == 6 {
            writeln!(out, "deleting {name}").unwrap();
            match library.delete(vec![name.clone()]) {
                Ok(()) => writeln!(out, "deleted {name}").unwrap(),
                Err(error) => writeln!(out, "kept {name} {error}").unwrap(),
            }
        } else {
            writeln!(out, "putting {name} {number}").unwrap();
            put(&library, &[film(number, number)]);
            writeln!(out, "put {name} {number}").unwrap();
        }
        if number % 23 == 22 {
            library.commit().unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = match profile() {
        Profile::Test => 6,
        Profile::Fast => 24,
        Profile::Slow => 200,
    };
    let mut tally = Tally::default();
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("killed.pixr");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let waiter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20 + (round * 131) % 600));
            process.kill().unwrap();
            process.wait().unwrap();
        });
        // The last state that was acknowledged, and the one that may have been reached on the way to the next.
        let mut acknowledged: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut in_flight: Option<(String, Option<String>)> = None;
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["putting", name, number] => in_flight = Some(((*name).to_owned(), Some((*number).to_owned()))),
                ["deleting", name] => in_flight = Some(((*name).to_owned(), None)),
                ["put", ..] | ["deleted", ..] => acknowledged.extend(in_flight.take()),
                ["kept", ..] => in_flight = None,
                _ => {}
            }
        }
        waiter.join().unwrap();
        tally.add("kills", 1);
        if !path.join("MANIFEST").exists() {
            assert!(acknowledged.is_empty());
            continue;
        }
        let library = Library::open(&path, Access::Write).unwrap();
        assert!(library.check().unwrap().damaged.is_empty());
        for (name, expected) in &acknowledged {
            let got = library.video(&id(name)).ok().map(|video| video.title);
            let title = |number: &Option<String>| number.as_ref().map(|number| format!("take{number} solar"));
            let later = in_flight.as_ref().filter(|(other, _)| other == name).map(|(_, number)| title(number));
            assert!(got == title(expected) || Some(&got) == later.as_ref(), "{name}: {got:?}, expected {expected:?}");
        }
        let query = Query { text: [(Channel::Metadata, "solar".to_owned())].into(), limit: 1000, ..Query::default() };
        let ids = library.video_ids().unwrap();
        assert_eq!(library.search(&query).unwrap().total, ids.len() as u64, "words and videos agree");
        for name in &ids {
            assert_eq!(library.content(name).unwrap().segments.len(), 1);
        }
    }
    tally.report("kill -9");
}
