//! Behaves well, but talks too much: thousands of lines and one very long one, everywhere.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, log};

struct Chatty;

laterna_sdk::export_projector!(Chatty);

impl Projector for Chatty {
    fn manifest() -> Manifest {
        guests::manifest("chatty")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        for line in 0..1_000 {
            println!("out {line}");
            eprintln!("err {line}");
            log::info(format_args!("log {line}"));
        }
        let long = "x".repeat(1 << 20);
        println!("{long}");
        eprint!("{long}");
        log::warn(long);
        Ok(vec![guests::note(event, "said it all")])
    }
}
