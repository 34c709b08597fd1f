//! How much memory the graphs of this process may fill: half of what it can get when it first asks.
//!
//! That is the least of what the system has available (`MemAvailable`) and the limits of its control groups, which count
//! pages of files too. The other half is for codes, vectors and everything else. Where a system tells neither, all graphs
//! are walked.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::graph_memory::GraphMemory;

/// Graphs get one in so many of the available bytes.
const SHARE: u64 = 2;

impl GraphMemory {
    /// The allowance of this process.
    #[must_use]
    pub fn of_process() -> &'static Arc<Self> {
        static PROCESS: OnceLock<Arc<GraphMemory>> = OnceLock::new();
        PROCESS.get_or_init(|| Self::new(available_bytes(Path::new("/")).map_or(u64::MAX, |bytes| bytes / SHARE)))
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
