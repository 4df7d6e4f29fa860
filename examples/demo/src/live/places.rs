//! Where the two servers are, and the same addresses through the wires.

use anyhow::{Context, bail};
use mongodb::options::ClientOptions;
use sqlx::mysql::MySqlConnectOptions;

use super::wire::{Server, Wire};

/// The wires to both servers.
#[derive(Debug)]
pub struct Wires {
    pub mongodb: Wire,
    pub mysql: Wire,
    /// The URI of MongoDB through its wire.
    pub mongodb_uri: String,
}

impl Wires {
    pub async fn lay(mongodb_uri: &str, mysql_admin_url: &str) -> anyhow::Result<Self> {
        let options = ClientOptions::parse(mongodb_uri).await.context("LATERNA_MONGODB_URI")?;
        let first = options.hosts.first().context("LATERNA_MONGODB_URI names no server")?;
        let mongodb = Wire::to(Server::Tcp(first.to_string())).await?;
        let mysql: MySqlConnectOptions = mysql_admin_url.parse().context("LATERNA_MYSQL_ADMIN_URL")?;
        let server = match mysql.get_socket() {
            Some(socket) => Server::Socket(socket.clone()),
            None => Server::Tcp(format!("{}:{}", mysql.get_host(), mysql.get_port())),
        };
        let mongodb_uri = at(mongodb_uri, mongodb.port)?;
        Ok(Self { mongodb, mysql: Wire::to(server).await?, mongodb_uri })
    }

    /// An address of MySQL through its wire.
    pub fn mysql_url(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", self.mysql.port)
    }
}

/// The same URI at a port of the loopback. The one server there is asked, and not whom it names.
fn at(uri: &str, port: u16) -> anyhow::Result<String> {
    let Some((scheme, rest)) = uri.split_once("://") else { bail!("LATERNA_MONGODB_URI is no URI") };
    let (place, options) = rest.split_once('/').unwrap_or((rest, ""));
    let account = place.rsplit_once('@').map(|(account, _)| format!("{account}@")).unwrap_or_default();
    let (database, options) = options.split_once('?').unwrap_or((options, ""));
    let kept =
        options.split('&').filter(|option| !option.is_empty() && !option.starts_with("directConnection="));
    let options: Vec<&str> = kept.chain(["directConnection=true"]).collect();
    Ok(format!("{scheme}://{account}127.0.0.1:{port}/{database}?{}", options.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_moved_to_the_wire() {
        for (uri, expect) in [
            (
                "mongodb://db:27017/?replicaSet=rs0",
                "mongodb://127.0.0.1:5/?replicaSet=rs0&directConnection=true",
            ),
            (
                "mongodb://a:b@db,dc/?directConnection=true",
                "mongodb://a:b@127.0.0.1:5/?directConnection=true",
            ),
            ("mongodb://db", "mongodb://127.0.0.1:5/?directConnection=true"),
        ] {
            assert_eq!(at(uri, 5).expect("it is one"), expect);
        }
    }
}
