//! The demonstration in the terminal: a bank writes thousands of events to MongoDB, one host brings them to MySQL, both sides are
//! compared, row for row.
//!
//! Read `follow` for what is waited for, `comparison` for what "equal" means, `probe` for how the lag is measured.

use anyhow::bail;

use crate::comparison::Sides;
use crate::host::{self, Host};
use crate::settings::Settings;
use crate::setup::Servers;
use crate::{config, follow, letter, show};

/// Shows all of it.
pub async fn demonstrate(mut settings: Settings) -> anyhow::Result<()> {
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
