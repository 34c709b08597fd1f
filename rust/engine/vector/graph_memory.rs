//! How many bytes of graphs are walked.
//!
//! A walk reads a graph here and there, so it is fast in memory and waits for a disk at every step. Graphs therefore take
//! their bytes out of an allowance before they are first walked, and give them back when they are closed; one that does
//! not get them is not walked, and the 1-bit codes, a sixth of it and read in a row, are scanned instead.
//!
//! The allowance of a process is half of what it can get when it first asks: the least of what the system has available
//! (`MemAvailable`) and the limits of its control groups, which count pages of files too. The other half is for codes,
//! vectors and everything else. Where a system tells neither, all graphs are walked.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Graphs get one in so many of the available bytes.
const SHARE: u64 = 2;

/// An allowance of bytes for graphs.
#[derive(Debug)]
pub struct GraphMemory {
    bytes: u64,
    taken: AtomicU64,
}

/// Bytes that a graph took; given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    memory: Arc<GraphMemory>,
    bytes: u64,
}

impl GraphMemory {
    /// An allowance of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { bytes, taken: AtomicU64::new(0) })
    }

    /// The allowance of this process.
    #[must_use]
    pub fn of_process() -> &'static Arc<Self> {
        static PROCESS: OnceLock<Arc<GraphMemory>> = OnceLock::new();
        PROCESS.get_or_init(|| Self::new(available_bytes(Path::new("/")).map_or(u64::MAX, |bytes| bytes / SHARE)))
    }

    /// Takes bytes, if so many are left.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|&taken| taken <= self.bytes);
        let done = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        done.is_ok().then(|| Taken { memory: Arc::clone(self), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What this process can get, by the files of Linux below `root`; none where they don't say.
fn available_bytes(root: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let meminfo = read("proc/meminfo");
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = line.and_then(|line| number(line.trim_end_matches("kB"))).map(|kilobytes| kilobytes * 1024);
    // A line is `id:controllers:path`; version 2 has no controllers. In a container the path may be the host's, of which
    // only the root is there.
    let groups = read("proc/self/cgroup");
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (top, name) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let above = Path::new(path.trim_start_matches('/')).ancestors();
        above.filter_map(|group| number(&read(&format!("{top}/{}/{name}", group.display())))).min()
    });
    limits.chain(available).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_while_they_last_and_come_back() {
        let memory = GraphMemory::new(100);
        let first = memory.take(60);
        assert!(first.is_some() && memory.take(41).is_none());
        assert!(memory.take(40).is_some_and(|second| memory.take(1).is_none() && second.bytes == 40));
        drop(first);
        assert!(memory.take(100).is_some() && memory.take(u64::MAX).is_none());
    }

    #[test]
    fn the_least_of_memory_and_of_the_limits_above_is_available() -> std::io::Result<()> {
        let of = |files: &[(&str, &str)]| -> std::io::Result<Option<u64>> {
            let root = tempfile::tempdir()?;
            for (name, text) in files {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap_or(root.path()))?;
                fs::write(path, text)?;
            }
            Ok(available_bytes(root.path()))
        };
        let memory = ("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    4000 kB\nBuffers: 1 kB\n");
        assert_eq!(of(&[])?, None);
        assert_eq!(of(&[memory])?, Some(4000 * 1024));
        // Version 2: the limit of a group above holds, and "max" is none.
        let second = ("proc/self/cgroup", "0::/service/worker\n");
        let worker = ("sys/fs/cgroup/service/worker/memory.max", "max\n");
        let service = ("sys/fs/cgroup/service/memory.max", "5000\n");
        assert_eq!(of(&[memory, second, worker])?, Some(4000 * 1024));
        assert_eq!(of(&[memory, second, worker, service])?, Some(5000));
        // Version 1, in a container that sees its own group as the root.
        let first = ("proc/self/cgroup", "5:cpu:/docker/7f\n4:hugetlb,memory:/docker/7f\n0::/\n");
        let root = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of(&[memory, first, root])?, Some(7000));
        assert_eq!(of(&[memory, first, unlimited])?, Some(4000 * 1024));
        Ok(())
    }
}
