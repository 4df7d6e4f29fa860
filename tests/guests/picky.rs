//! Does with each event what the event's payload says: `{"do": "panic"}`. Most of it is wrong. As `picky-happened` it takes
//! one event type only.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::Read;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, io, process, thread};

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, Value, log, statements};

struct Picky;

laterna_sdk::export_projector!(Picky);

statements! {
    PICK = "INSERT INTO picked (event_id, aggregate_id, sequence, note, number, document) \
            VALUES (?, ?, ?, ?, ?, ?)";
}

#[derive(serde::Deserialize)]
struct Payload {
    r#do: String,
    /// How many operations, bytes or lines; each has its own default.
    size: Option<usize>,
}

impl Projector for Picky {
    fn manifest() -> Manifest {
        let picked = "CREATE TABLE picked (
            event_id VARCHAR(64) NOT NULL PRIMARY KEY,
            aggregate_id VARCHAR(64) NOT NULL,
            sequence BIGINT NULL,
            note VARCHAR(20) NOT NULL,
            number DOUBLE NULL,
            document JSON NULL
        )";
        let types = if env!("CARGO_CRATE_NAME") == "picky_happened" { &["Happened"][..] } else { &[] };
        Manifest::new("picky", env!("CARGO_PKG_VERSION"))
            .events(types.iter().copied())
            .table("picked", picked)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let row = |note: Value, number: Value, document: Value| {
            PICK.with((&event.id, &event.aggregate_id, event.sequence, note, number, document))
        };
        let note = |text: &str| row(text.into(), Value::Null, Value::Null);
        let Payload { r#do, size } = event.payload()?;
        let size = |default| size.unwrap_or(default);

        let operation = match r#do.as_str() {
            "ok" => note("ok"),
            "nothing" => return Ok(Vec::new()),

            "panic" => panic!("told to panic"),
            words if words.starts_with("panic ") => panic!("{words}"),
            words if words.starts_with("fine ") => note(fine(words)),
            "loop" => loop {
                black_box(());
            },
            "stack" => note(&dig(size(usize::MAX)).to_string()),
            "memory" => note(&black_box(vec![1_u8; size(1 << 30)]).len().to_string()),
            "clock" => note(&format!("{:?}", SystemTime::now())),
            "random" => note(&random().to_string()),
            "hash-map" => note(&HashMap::from([("answer", 42)])["answer"].to_string()),
            "monotonic" => note(&Instant::now().elapsed().as_nanos().to_string()),
            "sleep" => {
                thread::sleep(Duration::from_hours(1));
                note("slept")
            }
            "thread" => note(&thread::spawn(|| 1).join().expect("it does not panic").to_string()),
            "files" => note(&fs::read_to_string("/etc/hostname").map_err(failed)?),
            "file-panic" => note(&fs::read_to_string("/etc/hostname").expect("the name of the machine")),
            "write-file" => note(fs::write("/tmp/laterna", "here").map_err(failed).map(|()| "written")?),
            "list-files" => note(&fs::read_dir("/").map_err(failed)?.count().to_string()),
            "environment" => note(&format!("{} {}", env::vars().count(), env::args().count())),
            "variable" => note(&env::var("HOME").map_err(failed)?),
            "stdin" => {
                let mut text = String::new();
                note(&io::stdin().read_to_string(&mut text).map_err(failed)?.to_string())
            }
            "connect" => note(&format!("{:?}", TcpStream::connect("127.0.0.1:3306").map_err(failed)?)),
            "listen" => note(&format!("{:?}", TcpListener::bind("127.0.0.1:0").map_err(failed)?)),
            "udp" => note(&format!("{:?}", UdpSocket::bind("127.0.0.1:0").map_err(failed)?)),
            "resolve" => note(&format!("{:?}", "localhost:80".to_socket_addrs().map_err(failed)?)),
            "exit" => process::exit(3),
            "abort" => process::abort(),
            "chatty" => chat(size(1_000), note("chatty")),

            "invalid" | "reject" => return Err(Rejection::invalid("told to reject")),
            "unsupported" => return Err(event.unsupported()),
            "failed" => return Err(failed("told to fail")),

            "huge" => note(&"x".repeat(size(16 << 20))),
            "many-operations" => return Ok(vec![note("many"); size(20_000)]),
            "bad-index" => Operation { statement: 99, ..note("bad-index") },
            "bad-count" => Operation { parameters: vec!["one".into()], ..note("bad-count") },
            "bad-json" => row("bad-json".into(), Value::Null, Value::Json("{".into())),
            "bad-decimal" => row("bad-decimal".into(), Value::Decimal("1,5".into()), Value::Null),
            "bad-timestamp" => row(Value::Timestamp("yesterday".into()), Value::Null, Value::Null),
            "nan" => row("nan".into(), f64::NAN.into(), Value::Null),

            "too-long" => note("longer than the twenty characters of its column"),
            "null" => row(Value::Null, Value::Null, Value::Null),
            // Deeper than servers take JSON.
            "deep" => row("deep".into(), Value::Null, Value::Json("[".repeat(127) + &"]".repeat(127))),
            "duplicate" => return Ok(vec![note("once"), note("twice")]),
            words if words.starts_with("say ") => say(words, note("said")),
            other => return Err(Rejection::invalid(format!("nobody told me how to {other}"))),
        };
        Ok(vec![operation])
    }
}

/// What `picky` takes, `picky-worse` does not, and says why.
fn fine(words: &str) -> &'static str {
    assert!(env!("CARGO_CRATE_NAME") != "picky_worse", "{words}");
    "fine"
}

fn failed(reason: impl Into<Box<dyn Error>>) -> Rejection {
    Rejection::Failed(reason.into().to_string())
}

fn dig(depth: usize) -> usize {
    black_box([depth; 64]);
    if depth == 0 { 0 } else { 1 + black_box(dig(depth - 1)) }
}

fn random() -> u32 {
    getrandom::u32().expect("the host has no random bytes")
}

fn say(words: &str, operation: Operation) -> Operation {
    println!("{words}");
    eprintln!("{words}");
    log::error(format_args!("{words}"));
    operation
}

fn chat(lines: usize, operation: Operation) -> Operation {
    for line in 0..lines {
        println!("out {line}");
        eprintln!("err {line}");
        log::info(format_args!("log {line}"));
    }
    operation
}
