//! The demonstrations, on servers that run.
//!
//!     make demo        or:  eval "$(dev/services env)" && cargo run -p demo [stream]

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use demo::live::{Live, Parts};
use demo::settings::Settings;
use demo::setup::Servers;
use demo::{host, terminal};

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
    let settings = Settings::from_environment()?;
    let _lock = settings.lock()?;
    match std::env::args().nth(1).as_deref() {
        None => on_a_page(settings).await,
        Some("stream") => terminal::demonstrate(settings).await,
        Some(other) => bail!("there is no demonstration `{other}`: `stream`, or nothing for the page"),
    }
}

/// The bank with its page. It plays a tour by itself; at a terminal it then stays up.
async fn on_a_page(mut settings: Settings) -> anyhow::Result<()> {
    println!(
        "Laterna keeps MySQL read models in step with a MongoDB outbox. A bank, both of its sides, and buttons to break it.\n"
    );
    host::stop_kept(&settings)?;
    settings.choose_port()?;
    let servers = Servers::prepare(&settings).await?;
    println!("Starting two hosts; the first time, compiling the projectors takes a while.");
    let folder = std::path::absolute(&settings.folder)?;
    settings.folder.clone_from(&folder);
    let parts = Parts {
        program: host::binary("laterna")?,
        components: std::path::absolute(Path::new("plugins/dist"))?,
        state: folder.join("state"),
        port: settings.port,
        prints: true,
    };
    let live = Live::start(&settings, &servers, parts).await?;
    println!(
        "\n    http://127.0.0.1:{}\n\nThe tour, meanwhile (=> is what a button of the page does):\n",
        live.ports[0]
    );
    live.stage.play_the_tour().await?;
    if settings.tour || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    println!("\nThe page stays up: http://127.0.0.1:{}    Ctrl-C ends everything.", live.ports[0]);
    std::future::pending().await
}

/// Ends with the first signal that asks for an end.
async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
