//! What was tried and what went wrong, counted; written for `make faults` to add up.

use std::collections::BTreeMap;
use std::io::Write;

/// Where the counts go: one line of JSON for each kind of fault.
const REPORT: &str = "PIXR_FAULTS_REPORT";

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// With every run of the tests: seconds.
    Test,
    /// `make faults`: minutes.
    Fast,
    /// `make faults PROFILE=slow`.
    Slow,
}

/// Chosen by `PIXR_FAULTS`: `fast` or `slow`.
pub fn profile() -> Profile {
    match std::env::var("PIXR_FAULTS").as_deref() {
        Ok("slow") => Profile::Slow,
        Ok("fast") => Profile::Fast,
        _ => Profile::Test,
    }
}

/// The first workload that is drawn: `PIXR_FAULTS_SEED` chooses others than those of every run.
pub fn first_seed(usual: u64) -> u64 {
    std::env::var("PIXR_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual)
}

/// Counts of one kind of fault.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    /// Counts a failure as `lost`, `panics` or `wrong_answers`; the first few are told.
    pub fn fail(&mut self, what: &'static str, story: String) {
        self.add(what, 1);
        if self.failures.len() < 20 {
            self.failures.push(format!("{what}: {story}"));
        }
    }

    /// Writes the counts where `make faults` finds them, and fails the test if anything went wrong.
    pub fn report(mut self, fault: &'static str) {
        for what in ["lost", "panics", "wrong_answers"] {
            self.add(what, 0);
        }
        let line = serde_json::json!({"fault": fault, "counts": self.counts});
        println!("{line}");
        if let Some(path) = std::env::var_os(REPORT) {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
        assert!(self.failures.is_empty(), "{line}\n{}", self.failures.join("\n"));
    }
}

/// Runs `attempt` and turns a panic into an error. Panics of other threads are not caught: they abort the test.
pub fn caught<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
    })
}
