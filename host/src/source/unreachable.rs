//! What the driver's report about a connection says in short: which server, and why not.
//!
//! The driver has one text for it, with its whole view of the cluster. Credentials are not in it.

/// What the driver says in front of its view of the cluster.
const VIEW: &str = "Topology: ";

/// The servers that could not be taken, each with its own reason. `named` are those of the URI: the driver forgets a server
/// that belongs to another replica set.
pub fn selection(message: &str, named: &str) -> String {
    let (head, view) = message.split_once(VIEW).unwrap_or((message, ""));
    let mut servers: Vec<String> = view.split("{ Address: ").skip(1).filter_map(server).collect();
    // The driver keeps them in no order, and the same must read the same.
    servers.sort();
    if servers.is_empty() {
        let of = if named.is_empty() { String::new() } else { format!(" of {named}") };
        return match value(view, "Set Name: ") {
            Some(set) => format!("no server{of} belongs to the replica set `{set}`"),
            None => format!("no server{of} answers"),
        };
    }
    let said = if head.contains("No available servers") {
        "no server answers"
    } else if head.contains("(Primary)") {
        "there is no primary"
    } else {
        "no server may be asked"
    };
    format!("{said}: {}", servers.join(", "))
}

/// A driver's text about one connection in short words.
pub fn short(error: &str) -> String {
    let error = error.split(", labels: ").next().unwrap_or_default();
    let error = error.rsplit("Kind: ").next().unwrap_or_default();
    let lower = error.to_lowercase();
    let known = WORDS.iter().find(|(texts, _)| texts.iter().any(|text| lower.contains(text)));
    match known {
        Some((_, words)) => (*words).to_owned(),
        None => error.trim_start_matches("I/O error: ").to_owned(),
    }
}

const WORDS: [(&[&str], &str); 6] = [
    (&["authentication", "scram failure"], "authentication failed"),
    (&["failed to lookup address", "name or service not known", "dns resolution"], "name not found"),
    (&["connection refused"], "connection refused"),
    (&["connection reset"], "connection reset"),
    (&["timed out", "timeout"], "timed out"),
    (&["invalid reply"], "what answers is no MongoDB"),
];

/// A server of the driver's view with the reason, from behind the words that begin it.
fn server(text: &str) -> Option<String> {
    let (address, rest) = text.split_once(", Type: ")?;
    let why = match rest.split_once(", Error: ") {
        Some((_, error)) => short(error),
        None => match rest.split([',', ' ']).next()? {
            "Unknown" => "no answer yet".to_owned(),
            "RsPrimary" => "the primary".to_owned(),
            "RsSecondary" => "a secondary".to_owned(),
            "RsArbiter" => "an arbiter".to_owned(),
            "RsOther" | "RsGhost" => "a member that does not serve".to_owned(),
            other => other.to_owned(),
        },
    };
    Some(format!("{address} ({why})"))
}

fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.split_once(name)?.1.split([',', ' ']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_named_with_its_own_reason() {
        let error = |text: &str| {
            format!("Error: Kind: {text}, labels: {{}}, source: None, server response: None, backtrace: …")
        };
        let [refused, unknown, wrong, late] = [
            "I/O error: Connection refused (os error 111)",
            "I/O error: failed to lookup address information: Name or service not known",
            "SCRAM failure: Authentication failed.",
            "Server selection timeout",
        ]
        .map(error);
        let message = format!(
            "Server selection timeout: None of the available servers suitable for criteria ReadPreference(Primary). Topology: \
             {{ Type: ReplicaSetNoPrimary, Set Name: rs0, Servers: [ {{ Address: db3:27017, Type: Unknown, {unknown} }}, \
             {{ Address: db1:27017, Type: RsSecondary, Average RTT: 1ms }}, {{ Address: db2:27017, Type: Unknown, {refused} \
             }}, {{ Address: db4:27017, Type: Unknown, {wrong} }}, {{ Address: db5:27017, Type: Unknown, {late} }}, \
             {{ Address: db6:27017, Type: Unknown }} ] }}"
        );
        assert_eq!(
            selection(&message, "db1:27017"),
            "there is no primary: db1:27017 (a secondary), db2:27017 (connection refused), db3:27017 (name not found), \
             db4:27017 (authentication failed), db5:27017 (timed out), db6:27017 (no answer yet)"
        );
        let alone = format!(
            "Server selection timeout: No available servers. Topology: {{ Type: Unknown, Servers: [ {{ Address: [::1]:1, \
             Type: Unknown, {refused} }} ] }}"
        );
        assert_eq!(selection(&alone, ""), "no server answers: [::1]:1 (connection refused)");
    }

    #[test]
    fn servers_that_the_driver_forgot_are_those_of_the_uri() {
        let message = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Set Name: \
                       another, Servers: [  ] }";
        let told = "no server of db1:27017 belongs to the replica set `another`";
        assert_eq!(selection(message, "db1:27017"), told);
        assert_eq!(selection("something new", "db1:27017"), "no server of db1:27017 answers");
    }

    #[test]
    fn what_nobody_has_words_for_stays_as_it_is() {
        let told = "Kind: I/O error: Broken pipe (os error 32), labels: {\"a\"}, source: None";
        assert_eq!(short(told), "Broken pipe (os error 32)");
        let cleared = "Connection pool for db1:27017 cleared because another operation failed with: Kind: I/O error: \
                       Connection reset by peer (os error 104), labels: {}";
        assert_eq!(short(cleared), "connection reset");
        // The number differs each time.
        let other = "Kind: The server returned an invalid reply to a database operation: Invalid wire protocol opcode: 9384448, \
                     labels: {}";
        assert_eq!(short(other), "what answers is no MongoDB");
    }
}
