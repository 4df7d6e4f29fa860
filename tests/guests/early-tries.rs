//! Behaves well: everything it should not ask for it asks for in `describe`, as some languages do when they start. Its
//! version tells what it was given.

use std::env;
use std::io::Read;
use std::net::TcpStream;
use std::time::SystemTime;

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct EarlyTries;

laterna_sdk::export_projector!(EarlyTries);

impl Projector for EarlyTries {
    fn manifest() -> Manifest {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let random = getrandom::u64().unwrap_or_default();
        let outer = env::vars().count() + env::args().count();
        let input = std::io::stdin().read_to_end(&mut Vec::new()).unwrap_or(1);
        let file = std::fs::read("/etc/hostname").is_ok();
        let network = TcpStream::connect("127.0.0.1:3306").is_ok();
        let version = format!("{clock} {random:x} {outer} {input} {file} {network}");
        Manifest { version, ..guests::manifest("early-tries") }
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![guests::note(event, "noted")])
    }
}
