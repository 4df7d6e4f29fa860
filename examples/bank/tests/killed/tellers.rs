//! Those who send commands: each goes on until it is answered, under the same key, and books what the answer says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::PATIENCE;

pub const ACCOUNTS: usize = 4;
const TELLERS: u64 = 4;

/// How many of its last commands each sends once more in the end.
const AGAIN: usize = 10;

/// What was accepted, by account.
pub type Books = BTreeMap<String, i64>;

/// Where the bank is just now, and how it goes there.
pub struct Hall {
    url: Mutex<String>,
    agent: ureq::Agent,
    answered: AtomicUsize,
    unanswered: AtomicUsize,
    is_over: AtomicBool,
}

pub struct Tellers {
    pub hall: Arc<Hall>,
    running: Vec<JoinHandle<Books>>,
}

/// A command that was answered.
struct Sent {
    path: String,
    key: String,
    body: Value,
    told: Value,
}

pub fn account(number: usize) -> String {
    format!("a{number}")
}

impl Hall {
    pub fn at(url: &str) -> Arc<Self> {
        let settings =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        Arc::new(Self {
            url: Mutex::new(url.to_owned()),
            agent: settings.build().into(),
            answered: AtomicUsize::default(),
            unanswered: AtomicUsize::default(),
            is_over: AtomicBool::default(),
        })
    }

    pub fn moved_to(&self, url: &str) {
        url.clone_into(&mut self.url.lock().expect("nobody panicked"));
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks once; nothing where there was no answer.
    pub fn ask(&self, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let url = self.url.lock().expect("nobody panicked").clone() + path;
        let mut answer = self.agent.post(&url).header("Idempotency-Key", key).send_json(body).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_json().ok()?))
    }

    /// Asks until it is answered.
    pub fn send(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let began = Instant::now();
        loop {
            match self.ask(path, key, body) {
                Some((code, told)) if code != 503 => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return (code, told);
                }
                _ => self.unanswered.fetch_add(1, Ordering::Relaxed),
            };
            assert!(began.elapsed() < PATIENCE, "no answer to {path} within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Tellers {
    pub fn start(hall: Arc<Hall>) -> Self {
        let seed: u64 =
            std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
        println!("a bank that is killed: SEED={seed}");
        let teller = |number: u64| {
            let (hall, random) = (hall.clone(), StdRng::seed_from_u64(seed ^ number));
            thread::spawn(move || serve_customers(&hall, number, random))
        };
        Self { running: (0..TELLERS).map(teller).collect(), hall }
    }

    /// Their books, added up, and how often there was no answer.
    pub fn end(self) -> (Books, usize) {
        self.hall.is_over.store(true, Ordering::Relaxed);
        let mut all = Books::new();
        for teller in self.running {
            for (account, cents) in teller.join().expect("its customers were served") {
                *all.entry(account).or_default() += cents;
            }
        }
        (all, self.hall.unanswered.load(Ordering::Relaxed))
    }
}

fn serve_customers(hall: &Hall, teller: u64, mut random: StdRng) -> Books {
    let (mut books, mut sent) = (Books::new(), vec![]);
    while !hall.is_over.load(Ordering::Relaxed) {
        let key = format!("{teller}-{}", sent.len());
        let (what, first, by) =
            (random.random_range(0..5), random.random_range(0..ACCOUNTS), random.random_range(1..ACCOUNTS));
        let (from, to) = (account(first), account((first + by) % ACCOUNTS));
        let cents = random.random_range(1..100);
        let mut body = json!({ "cents": cents, "currency": "EUR" });
        let path = match what {
            0 | 1 => format!("/accounts/{from}/deposits"),
            2 => format!("/accounts/{from}/withdrawals"),
            _ => {
                body["from"] = from.clone().into();
                body["to"] = to.clone().into();
                format!("/transfers/{key}")
            }
        };
        let (code, told) = hall.send(&path, &key, &body);
        assert!([200, 422].contains(&code), "{path} {body}: {code} {told}");
        let mut book = |account: String, cents: i64| *books.entry(account).or_default() += cents;
        match what {
            _ if code != 200 => {}
            0 | 1 => book(from, cents),
            2 => book(from, -cents),
            _ if told["state"] == "completed" => {
                book(from, -cents);
                book(to, cents);
            }
            _ => {}
        }
        sent.push(Sent { path, key, body, told });
    }
    for Sent { path, key, body, told } in
        sent.iter().rev().filter(|sent| sent.told["events"].is_array()).take(AGAIN)
    {
        let again = hall.send(path, key, body).1;
        assert_eq!((&again["events"], &again["account"]), (&told["events"], &told["account"]), "{path}");
        assert!(path.starts_with("/transfers") || again["repeated"] == true, "{path}: {again}");
    }
    books
}
