//! What runs a network on this machine: its plan, its folder, its processes, and what they tell.

pub mod error;
pub mod events;
pub mod folder;
pub mod plan;
pub mod process;
pub mod report_file;
pub mod training;
