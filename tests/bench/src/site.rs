//! Where one measurement is made: the servers, and how far away they are for the follower.

use std::time::Duration;

use anyhow::Context;
use mongodb::Client;

use crate::options::Places;
use crate::proxy::Proxy;
use crate::readmodel::Target;

/// Round trips in milliseconds; none where there is no proxy between.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Distance {
    pub mysql_ms: Option<f64>,
    pub mongodb_ms: Option<f64>,
}

/// What a follower is told.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub mongodb: String,
    /// URL of the read model's database.
    pub mysql: String,
    pub mysql_port: u16,
    pub mysql_socket: Option<String>,
}

pub struct Site {
    pub client: Client,
    pub target: Target,
    pub places: Places,
    pub addresses: Addresses,
    mysql: Option<Proxy>,
    mongodb: Option<Proxy>,
}

impl Site {
    pub async fn new(places: &Places, target: &Target, distance: Distance) -> anyhow::Result<Self> {
        let client = Client::with_uri_str(&places.mongodb).await.context("connecting to MongoDB")?;
        let before = |port: u16, milliseconds: Option<f64>| {
            milliseconds.map(|away| Proxy::before(port, Duration::from_secs_f64(away / 1000.0))).transpose()
        };
        let mongodb_port = port(&places.mongodb).context("MongoDB's URI has no port")?;
        let (mysql, mongodb) =
            (before(target.port, distance.mysql_ms)?, before(mongodb_port, distance.mongodb_ms)?);
        let through = mysql.as_ref().map(|proxy| target.at(proxy.port));
        let used = through.as_ref().unwrap_or(target);
        let addresses = Addresses {
            mongodb: mongodb
                .as_ref()
                .map_or_else(|| places.mongodb.clone(), |proxy| at(&places.mongodb, proxy.port)),
            mysql: used.url(),
            mysql_port: used.port,
            mysql_socket: used.socket(),
        };
        Ok(Self { client, target: target.clone(), places: places.clone(), addresses, mysql, mongodb })
    }

    /// The turns of each server's connections so far, where there is a proxy.
    pub fn turns(&self) -> [Option<u64>; 2] {
        [&self.mysql, &self.mongodb].map(|proxy| proxy.as_ref().map(Proxy::turns))
    }
}

/// The port of a URI with one server.
fn port(uri: &str) -> Option<u16> {
    let (host, _) = uri.split_once("://")?.1.split_once('/')?;
    host.rsplit_once(':')?.1.parse().ok()
}

/// The same server through a port of this machine. The driver must not ask the server for its own address.
fn at(uri: &str, port: u16) -> String {
    let rest = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, rest)| rest);
    let direct = if rest.contains("directConnection=true") {
        ""
    } else if rest.contains('?') {
        "&directConnection=true"
    } else {
        "?directConnection=true"
    };
    format!("mongodb://127.0.0.1:{port}/{rest}{direct}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_met_through_the_proxy_only() {
        let uri = "mongodb://127.0.0.1:27017/?replicaSet=rs0&directConnection=true&w=majority";
        assert_eq!(port(uri), Some(27017));
        assert_eq!(
            at(uri, 4000),
            "mongodb://127.0.0.1:4000/?replicaSet=rs0&directConnection=true&w=majority"
        );
        assert_eq!(
            at("mongodb://db:1/?replicaSet=a", 2),
            "mongodb://127.0.0.1:2/?replicaSet=a&directConnection=true"
        );
        assert_eq!(at("mongodb://db:1/", 2), "mongodb://127.0.0.1:2/?directConnection=true");
    }
}
