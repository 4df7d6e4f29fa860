//! A host's wall clock, which can jump while the host runs: libfaketime reads how far off it is from a file.
//!
//! Only the wall clock: the monotonic one never jumps, neither here nor in life. Where the library cannot be had, clocks
//! stay as they are, and the report says so.

use std::path::PathBuf;

use super::server::faketime;

pub struct Clock {
    offset: PathBuf,
}

impl Clock {
    pub fn new(offset: PathBuf) -> Self {
        let clock = Self { offset };
        clock.set(0);
        clock
    }

    /// Puts the clock so many seconds before or behind the true time.
    pub fn set(&self, seconds: i64) {
        // A rename, so that nobody reads half a number.
        let new = self.offset.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).expect("the clock can be written");
        std::fs::rename(new, &self.offset).expect("the clock can be set");
    }

    /// What a host is started with, so that its clock is this one.
    pub fn environment(&self) -> Vec<(String, String)> {
        let Some(library) = faketime() else { return vec![] };
        let pairs = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}
