//! Faults: what is tried with every run is small; `make faults` tries more (see `docs/RELIABILITY.md`).

mod allocations;
mod background;
mod crash;
mod damage;
mod failing;
mod full_disk;
mod power;
pub mod tally;
mod workload;
