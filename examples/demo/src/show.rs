//! Everything that is printed besides the progress. It decides nothing.

use std::time::Duration;

use anyhow::bail;
use bank::Row;
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::comparison::{Accounts, Difference, Sides};
use crate::follow::Written;
use crate::host;
use crate::settings::Settings;
use crate::setup::Servers;

/// How many accounts are shown side by side.
const SHOWN: usize = 10;

/// What the projector `accounts` answers to the bank's events.
const STATEMENTS: [(&str, &[&str]); 3] = [
    ("INSERT", &["AccountOpened"]),
    ("UPDATE", &["MoneyDeposited", "MoneyWithdrawn", "AccountRenamed"]),
    ("DELETE", &["AccountClosed"]),
];

/// How many differences are told one by one.
const DIFFERENCES: usize = 20;

pub fn servers(settings: &Settings, servers: &Servers) {
    let Servers { mongodb_version, mysql_version, .. } = servers;
    println!("MongoDB {mongodb_version}, made anew: database {}", settings.mongodb_database());
    println!(
        "MySQL {mysql_version}, made anew: database {}, control schema {},",
        settings.database,
        settings.control_schema()
    );
    println!("  accounts {} (changes rows), {} (creates tables)", settings.app_user(), settings.ddl_user());
}

/// A command that is about to run, as one would type it.
pub fn command(settings: &Settings, arguments: &str) {
    println!("\n$ laterna --config {} {arguments}", settings.config().display());
}

pub fn stream(settings: &Settings) {
    let pace = match settings.rate {
        0 => "as fast as they can".to_owned(),
        rate => format!("{} a second", number(rate)),
    };
    println!(
        "\n{} writers commit {} events, {pace}, each in one transaction with the account it changes.",
        settings.writers,
        number(settings.events)
    );
}

pub fn followed(written: &Written) {
    let Written { events, writing, catching_up, .. } = written;
    println!(
        "All {} events are applied: written in {:.1} s, caught up {:.1} s later.",
        number(*events),
        writing.as_secs_f64(),
        catching_up.as_secs_f64()
    );
}

/// What the events were, by what the projector makes of them.
pub fn events(sides: &Sides) {
    println!();
    for (statement, types) in STATEMENTS {
        let count = |name: &&str| sides.outbox.get(*name).map(|count| format!("{count} {name}"));
        let counts: Vec<String> = types.iter().filter_map(count).collect();
        println!("  {statement}  {}", counts.join(", "));
    }
}

/// Some accounts side by side, then what all of them add up to.
pub fn sides(settings: &Settings, sides: &Sides) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let (mongodb, mysql) = (settings.mongodb_database(), &settings.database);
    let headings = [
        "ACCOUNT",
        "OWNER",
        &format!("MongoDB {mongodb}.accounts"),
        &format!("MySQL {mysql}.accounts"),
        "EQUAL",
    ];
    table.set_header(headings.map(Cell::new));
    for (account, row) in busiest(&sides.mongodb) {
        let (entity, read) = (Some(row), sides.mysql.get(account));
        let [left, right] =
            [entity, read].map(|row| row.map_or("-".to_owned(), |row| money(row.balance_cents)));
        table.add_row([account, &row.owner, &left, &right, equal(entity == read)].map(Cell::new));
    }
    table.add_row(["…"; 5].map(Cell::new));
    let (left, right) = (&sides.mongodb, &sides.mysql);
    let counts = [left, right].map(|side| number(side.len() as u64));
    table.add_row(["accounts", "", &counts[0], &counts[1], equal(left.len() == right.len())].map(Cell::new));
    let sums = [left, right].map(|side| money(side.values().map(|row| row.balance_cents).sum()));
    table.add_row(["sum of balances", "", &sums[0], &sums[1], equal(sums[0] == sums[1])].map(Cell::new));
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("\n{}", table.trim_fmt());
}

/// The accounts to which most has happened.
fn busiest(accounts: &Accounts) -> Vec<(&String, &Row)> {
    let mut all: Vec<_> = accounts.iter().collect();
    all.sort_by_key(|(_, row)| std::cmp::Reverse(row.last_sequence));
    all.truncate(SHOWN);
    all
}

/// The lag from commit to commit, as a reader saw it.
pub fn lag(mut lags: Vec<Duration>) -> anyhow::Result<()> {
    lags.sort();
    let at = |percent: usize| lags.get((lags.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let (Some(median), Some(high), Some(longest)) = (at(50), at(99), at(100)) else {
        bail!("the lag was never measured: write more events");
    };
    println!(
        "\nLag from the commit in MongoDB to the row in MySQL, measured {} times meanwhile:\n\
         median {}, 99% within {}, longest {}",
        number(lags.len() as u64),
        milliseconds(median),
        milliseconds(high),
        milliseconds(longest)
    );
    Ok(())
}

pub fn equality(sides: &Sides) {
    println!(
        "\nBoth sides are equal: {} accounts, every column of every row, in MongoDB, in MySQL,\n\
         and in an independent model of the events.",
        number(sides.mysql.len() as u64)
    );
}

pub fn differences(differences: &[Difference]) {
    for Difference { account, mongodb, mysql, model } in differences.iter().take(DIFFERENCES) {
        println!(
            "\n{account}\n  MongoDB   {}\n  MySQL     {}\n  expected  {}",
            row(*mongodb),
            row(*mysql),
            row(*model)
        );
    }
}

fn row(row: Option<&Row>) -> String {
    row.map_or_else(|| "no such account".to_owned(), |row| format!("{row:?}"))
}

pub fn the_end(settings: &Settings) {
    println!(
        "\nThe host is stopped. Its configuration and its log stay to be read in {}.\n\
         DEMO_KEEP=1 keeps everything up.",
        settings.folder.display()
    );
}

pub fn what_to_try(settings: &Settings, servers: &Servers, pid: u32) -> anyhow::Result<()> {
    let (config, log) = (settings.config(), settings.log());
    let (config, log) = (config.display(), log.display());
    let laterna = host::binary("laterna")?;
    let (laterna, bank) = (format!("{} --config {config}", laterna.display()), host::binary("bank")?);
    println!(
        "\nEverything stays up. To try:\n\n\
         \x20 {laterna} status --lanes\n\
         \x20 {laterna} dlq list accounts\n\
         \x20 curl http://127.0.0.1:{port}/metrics\n\
         \x20 MONGODB_URI='{mongodb}' MONGODB_DATABASE={database} \\\n\
         \x20   {bank} 1000 50     # writes 1000 events more, 50 a second\n\n\
         config   {config}\n\
         log      {log}\n\
         MySQL    {mysql}\n\
         stop     kill {pid}; make services-down",
        port = settings.port,
        mongodb = settings.mongodb_uri,
        database = settings.mongodb_database(),
        bank = bank.display(),
        mysql = servers.app_url,
    );
    Ok(())
}

/// 1234567 as 1 234 567.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

/// 123456 cents as 1 234.56.
fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", number(cents / 100), cents % 100)
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

fn equal(equal: bool) -> &'static str {
    if equal { "yes" } else { "NO" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        assert_eq!([0, 5, -123_456, 100_000_000].map(money), ["0.00", "0.05", "-1 234.56", "1 000 000.00"]);
        assert_eq!(milliseconds(Duration::from_micros(12_600)), "13 ms");
    }
}
