//! The two hosts: started, killed, frozen, stopped, and watched for ending by themselves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex as StateMutex;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::ground::{STOP_SECONDS, id};
use super::schedule::Who;
use crate::support::clock::Clock;
use crate::support::host::BINARY;
use crate::support::{Host, some_time};

/// How much longer a stop may take than it was told to: a frozen machine, the lease, a profile that is written.
const STOP_GRACE: Duration = Duration::from_secs(12);

pub struct Fleet {
    a: Place,
    b: Place,
    restarts: StateMutex<u32>,
    violations: StateMutex<Vec<String>>,
}

/// Where one host runs, or will again. Whoever does something to it holds it.
pub struct Place {
    config: PathBuf,
    port: u16,
    clock: Clock,
    host: Mutex<Option<Host>>,
}

impl Fleet {
    pub fn new([a, b]: [(PathBuf, u16); 2]) -> Self {
        let place = |(config, port): (PathBuf, u16)| Place {
            clock: Clock::new(config.with_extension("clock")),
            config,
            port,
            host: Mutex::new(None),
        };
        Self { a: place(a), b: place(b), restarts: StateMutex::new(0), violations: StateMutex::default() }
    }

    fn place(&self, who: Who) -> &Place {
        match who {
            Who::A => &self.a,
            Who::B => &self.b,
        }
    }

    pub fn clock(&self, who: Who) -> &Clock {
        &self.place(who).clock
    }

    /// A host's configuration, by which operators reach the servers, too.
    pub fn config(&self, who: Who) -> &Path {
        &self.place(who).config
    }

    pub fn restarts(&self) -> u32 {
        *self.restarts.lock().expect("nobody panics with it")
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("nobody panics with it").clone()
    }

    /// Starts whichever does not run. One that ended by itself is a violation.
    pub async fn start(&self) {
        for who in Who::BOTH {
            let place = self.place(who);
            let mut host = place.host.lock().await;
            self.look(who, &mut host);
            if host.is_none() {
                *host = Some(place.run());
            }
        }
    }

    pub async fn kill(&self, who: Who, down: Duration) {
        let place = self.place(who);
        let mut host = place.host.lock().await;
        self.look(who, &mut host);
        if let Some(host) = host.take() {
            host.kill();
        }
        tokio::time::sleep(down).await;
        self.restart(place, &mut host);
    }

    pub async fn freeze(&self, who: Who, time: Duration) {
        let mut host = self.place(who).host.lock().await;
        self.look(who, &mut host);
        if let Some(host) = host.as_ref() {
            host.signal("STOP");
            tokio::time::sleep(time).await;
            host.signal("CONT");
        }
    }

    pub async fn stop(&self, who: Who, down: Duration) {
        let place = self.place(who);
        let mut host = place.host.lock().await;
        self.look(who, &mut host);
        if let Some(mut host) = host.take() {
            host.signal("TERM");
            let limit = Duration::from_secs(STOP_SECONDS) + STOP_GRACE;
            let began = Instant::now();
            while host.exit_status().is_none() && began.elapsed() < limit {
                some_time(50).await;
            }
            match host.exit_status() {
                Some(status) if status.success() => {}
                Some(status) => self.blame(format!("{} was asked to stop and ended with {status}", id(who))),
                None => {
                    self.blame(format!("{} did not stop within {limit:?}", id(who)));
                    host.kill();
                }
            }
        }
        tokio::time::sleep(down).await;
        self.restart(place, &mut host);
    }

    /// Both endpoints say that all is well.
    pub async fn ready(&self) -> Result<(), String> {
        for who in Who::BOTH {
            let host = self.place(who).host.lock().await;
            let answer = match host.as_ref() {
                Some(host) => host.get("/readyz").await,
                None => None,
            };
            match answer {
                Some((200, _)) => {}
                Some((code, text)) => return Err(format!("{}: {code} {}", id(who), text.trim())),
                None => return Err(format!("{}: no answer", id(who))),
            }
        }
        Ok(())
    }

    /// What the hosts tell about a projection, whoever writes for it.
    pub async fn statuses(&self, projection: &str) -> Vec<serde_json::Value> {
        let mut statuses = Vec::new();
        for who in Who::BOTH {
            if let Some(host) = self.place(who).host.lock().await.as_ref() {
                statuses.extend(host.status(projection).await);
            }
        }
        statuses
    }

    /// What both logged, over all their lives.
    pub fn logs(&self) -> [(&'static str, String); 2] {
        Who::BOTH.map(|who| {
            let log = self.place(who).config.with_extension("log");
            (id(who), String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned())
        })
    }

    fn restart(&self, place: &Place, host: &mut Option<Host>) {
        *self.restarts.lock().expect("nobody panics with it") += 1;
        *host = Some(place.run());
    }

    /// Notices a host that ended by itself.
    fn look(&self, who: Who, host: &mut Option<Host>) {
        if let Some(status) = host.as_mut().and_then(Host::exit_status) {
            self.blame(format!("{} ended by itself with {status}", id(who)));
            *host = Some(self.place(who).run());
        }
    }

    fn blame(&self, what: String) {
        self.violations.lock().expect("nobody panics with it").push(what);
    }
}

impl Place {
    fn run(&self) -> Host {
        let mut command = Command::new(BINARY);
        command.envs(self.clock.environment());
        Host::start_as(command, &self.config, self.port)
    }
}
