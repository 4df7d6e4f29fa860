//! The demonstration: a bank writes events to MongoDB, Laterna brings them to MySQL, both sides are compared.
//!
//!     make demo        or, with servers that run:  eval "$(dev/services env)" && cargo run -p demo
//!
//! `settings` lists what the environment can change. Read `follow` for what is waited for, `comparison` for what
//! "equal" means, `probe` for how the lag is measured.

mod comparison;
mod config;
mod follow;
mod host;
mod letter;
mod probe;
mod progress;
mod settings;
mod setup;
mod show;
mod stream;

use std::process::ExitCode;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use comparison::Sides;
use host::Host;
use settings::Settings;
use setup::Servers;

const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    tokio::select! {
        // What the demonstration has started ends with it, also when it is dropped half-way.
        result = demonstrate() => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("\nerror: {error:#}");
                ExitCode::FAILURE
            }
        },
        result = interrupted() => {
            if let Err(error) = result {
                eprintln!("\nerror: {error:#}");
            } else {
                eprintln!("\nInterrupted.");
            }
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn demonstrate() -> anyhow::Result<()> {
    let mut settings = Settings::from_environment()?;
    let _lock = settings.lock()?;
    println!(
        "Laterna keeps MySQL read models in step with a MongoDB outbox. A bank writes, both sides are shown.\n"
    );
    host::stop_kept(&settings)?;
    settings.choose_port()?;
    let servers = Servers::prepare(&settings).await?;
    show::servers(&settings, &servers);
    config::write(&settings, &servers)?;

    show::command(&settings, "check");
    host::check(&settings)?;
    show::command(&settings, "run");
    let mut host = Host::start(&settings)?;
    match perform(&settings, &servers, &mut host).await {
        Ok(()) if settings.keep => show::what_to_try(&settings, &servers, host.keep()?),
        Ok(()) => {
            host.stop()?;
            show::the_end(&settings);
            Ok(())
        }
        Err(error) => {
            eprintln!("\n{}", host.last_words());
            Err(error)
        }
    }
}

/// What happens between the host's start and its end.
async fn perform(settings: &Settings, servers: &Servers, host: &mut Host) -> anyhow::Result<()> {
    let ready = follow::until_streaming(host).await?;
    println!(
        "It follows the outbox after {:.1} s; its log is {}.",
        ready.as_secs_f64(),
        settings.log().display()
    );

    show::stream(settings);
    let written = follow::until_applied(settings, servers, host).await?;
    show::followed(&written);

    let sides = Sides::read(settings, servers, written.model).await?;
    show::events(&sides);
    show::sides(settings, &sides);
    show::lag(written.lags)?;
    let differences = sides.differences();
    if !differences.is_empty() {
        show::differences(&differences);
        bail!("the sides differ in {} account(s)", differences.len());
    }
    if i64::try_from(written.events) != Ok(sides.events()) {
        bail!("{} events were written, but the outbox has {}", written.events, sides.events());
    }
    show::equality(&sides);
    if settings.poison {
        letter::demonstrate(settings, servers, host).await?;
    }
    Ok(())
}

/// Ends with the first signal that asks for an end.
async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
