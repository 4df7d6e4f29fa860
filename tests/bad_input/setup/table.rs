//! The table of wrong set-ups: a line of a valid configuration, another one in its place, and what comes of it.

use crate::bad_input::proof::Proof;
use crate::support::World;

/// A line of a valid configuration, another one in its place, and what comes of it.
pub struct Case {
    /// How the line begins.
    pub line: &'static str,
    pub instead: fn(&World) -> String,
    pub outcome: Outcome,
}

pub enum Outcome {
    /// `check` and `run` refuse it with these words, before any server is asked.
    Refused(&'static str),
    /// `check` fails with these words; `run` waits, and says so.
    Fails(&'static str),
    /// `check` passes, with a note that says this.
    Noted(&'static str),
    /// `check` passes.
    Passes,
}
use Outcome::{Fails, Noted, Passes, Refused};

fn case(line: &'static str, instead: fn(&World) -> String, outcome: Outcome) -> Proof<Case> {
    Proof::Here(Case { line, instead, outcome })
}

/// The file, its keys and its secrets.
fn keys() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("no file", Proof::Elsewhere("a_file_that_is_not_there_is_named")),
        ("an empty file", Proof::Elsewhere("text_that_is_not_toml_is_refused_with_its_line")),
        ("any text", Proof::Elsewhere("any_text_is_a_configuration_or_refused")),
        ("a broken line", case("[mongodb]", |_| "[mongodb".into(), Refused("line"))),
        ("an editor's mark, CR LF", Proof::Elsewhere("an_editors_marks_and_line_ends_are_no_obstacle")),
        ("an unknown key", case("lanes", |_| "lines = 4".into(), Refused("lines"))),
        ("a variable for an unknown key", Proof::Elsewhere("an_unknown_key_is_refused_by_its_name")),
        ("a variable with any text", Proof::Elsewhere("any_variable_is_an_override_or_refused")),
        ("a key twice", case("lanes", |_| "lanes = 4\nlanes = 4".into(), Refused("duplicate key"))),
        (
            "two projections of one name",
            case("batch_max", |_| "[projection.recorder]\nbatch_max = 5".into(), Refused("line")),
        ),
        ("a wrong type", case("lanes", |_| "lanes = \"many\"".into(), Refused("lanes"))),
        ("several things at once", Proof::Elsewhere("what_is_wrong_is_told_all_at_once")),
        (
            "a secret's file: missing, empty, with a line's end",
            Proof::Elsewhere("secrets_come_from_files_and_never_show"),
        ),
        (
            "a secret's file that everybody can read",
            case(
                "url =",
                |world| {
                    use std::os::unix::fs::PermissionsExt;
                    let file = world.folder.path().join("secret");
                    std::fs::write(&file, world.host_url()).expect("it can be written");
                    let everybodys = std::fs::Permissions::from_mode(0o644);
                    std::fs::set_permissions(&file, everybodys).expect("it is mine");
                    format!("url_file = {:?}", file.display().to_string())
                },
                Noted("can be read by every account here (mode 644): chmod 600 it"),
            ),
        ),
        ("a secret in the log", Proof::Elsewhere("secrets_come_from_files_and_never_show")),
    ]
}

/// Numbers and names.
fn bounds() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "no lane",
            case(
                "lanes",
                |_| "lanes = 0".into(),
                Refused("`projection.recorder.lanes` is 0; it must be 1 to 64"),
            ),
        ),
        ("one lane", case("lanes", |_| "lanes = 1".into(), Passes)),
        ("a thousand lanes", case("lanes", |_| "lanes = 1000".into(), Refused("1 to 64"))),
        (
            "batches of nothing",
            case("batch_max", |_| "batch_max = 0".into(), Refused("`projection.recorder.batch_max`")),
        ),
        (
            "batches without an end",
            case(
                "batch_max",
                |_| "batch_max = 1000000000".into(),
                Refused("`projection.recorder.batch_max`"),
            ),
        ),
        ("every other number", Proof::Elsewhere("every_number_is_bounded_from_both_sides")),
        (
            "a lease of no time",
            case("lease_seconds", |_| "lease_seconds = 0".into(), Refused("`host.lease_seconds`")),
        ),
        (
            "a lease that is shorter than its renewal",
            Proof::Not(
                "it is renewed at a third of its time, whatever that is, so nobody can set these two apart",
            ),
        ),
        (
            "a lease that is shorter than a transaction may take",
            Proof::Elsewhere("a_host_that_was_frozen_beyond_its_lease_writes_nothing_when_it_goes_on"),
        ),
        (
            "transactions that may take longer than a lock is waited for",
            Proof::Not(
                "a lock is waited for 5 s at most, and at most half of `mysql.statement_seconds`; the wait is tried again",
            ),
        ),
        (
            "a name that could be SQL",
            case("[projection.", |_| "[projection.\"Rec;order\"]".into(), Refused("a name is")),
        ),
        (
            "the host's own schema as a read model's database",
            case(
                "control_schema",
                |world| format!("control_schema = {:?}", world.name),
                Fails("belongs to the host"),
            ),
        ),
        (
            "the endpoint on the network",
            case("admin", |_| "admin = \"0.0.0.0:7420\"".into(), Refused("`host.tokens`")),
        ),
        (
            "the endpoint's port is taken",
            Proof::Elsewhere("a_port_that_is_taken_ends_the_host_with_its_setting"),
        ),
    ]
}

/// The source.
fn sources() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "a MongoDB URI that is none",
            case("uri", |_| "uri = \"nonsense\"".into(), Fails("`mongodb.uri` is not usable")),
        ),
        (
            "nobody there",
            case(
                "uri",
                |_| {
                    "uri = \"mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true\""
                        .into()
                },
                Fails("MongoDB is not reachable"),
            ),
        ),
        ("no replica set", Proof::Elsewhere("a_mongodb_that_is_no_replica_set_is_refused_with_the_way_out")),
        (
            "a URI that does not name the replica set",
            case("uri", |_| format!("uri = \"mongodb://127.0.0.1:{}\"", mongodb_port()), Passes),
        ),
        (
            "a URI that names another replica set",
            case(
                "uri",
                |_| {
                    let options = "replicaSet=another&serverSelectionTimeoutMS=300";
                    format!("uri = \"mongodb://127.0.0.1:{}/?{options}\"", mongodb_port())
                },
                Fails("MongoDB is not reachable"),
            ),
        ),
        ("a secondary alone", Proof::Elsewhere("a_secondary_alone_is_followed_once_begun_and_told_of")),
        (
            "readConcern=local, w=1",
            Proof::Elsewhere("whatever_the_uri_says_only_what_a_majority_has_is_read"),
        ),
        (
            "no collection",
            case("database", |_| "database = \"empty_database\"".into(), Fails("there is no collection")),
        ),
        (
            "a collection that deletes by itself",
            Proof::Elsewhere("an_outbox_that_deletes_by_itself_is_told_of"),
        ),
        (
            "no index for history",
            Proof::Elsewhere("history_without_an_order_is_refused_with_the_command_that_helps"),
        ),
        ("a checkpoint of another outbox", Proof::Elsewhere("another_outbox_under_the_same_name_is_refused")),
        (
            "a checkpoint of a restored source",
            Proof::Elsewhere(
                "a_checkpoint_that_the_source_has_not_come_to_pauses_even_where_a_rebuild_is_wanted",
            ),
        ),
    ]
}

/// The read side.
fn read_sides() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("a MySQL URL that is none", case("url =", |_| "url = \"nonsense\"".into(), Fails("is not a URL"))),
        (
            "one without a database",
            case("url =", |_| "url = \"mysql://root@localhost\"".into(), Fails("names no database")),
        ),
        (
            "nobody there",
            case("url =", |_| "url = \"mysql://root@127.0.0.1:1/x\"".into(), Fails("MySQL is not reachable")),
        ),
        (
            "a database that is not there",
            case(
                "url =",
                |world| {
                    format!(
                        "url = {:?}",
                        world.host_url().replace(&format!("/{}", world.name), "/no_such_database")
                    )
                },
                Fails("no_such_database"),
            ),
        ),
        (
            "another machine without TLS",
            case(
                "url =",
                |world| {
                    let port = std::env::var("LATERNA_MYSQL_PORT").expect("from dev/services env");
                    // An address that is not the loopback's by its name, and leads there.
                    format!("url = \"mysql://root@0.0.0.0:{port}/{}?ssl-mode=DISABLED\"", world.name)
                },
                Noted("to 0.0.0.0 is not encrypted: end it with ?ssl-mode=VERIFY_IDENTITY"),
            ),
        ),
        (
            "which connections are exposed",
            Proof::Elsewhere("a_connection_to_another_machine_is_encrypted_or_that_is_told"),
        ),
        (
            "too wide privileges",
            case("url =", |world| format!("url = {:?}", world.host_url()), Noted("writes through read_only")),
        ),
        (
            "no wider ones than the operator's guide has",
            Proof::Elsewhere("the_grants_of_the_guide_are_enough"),
        ),
        ("too narrow privileges", Proof::Elsewhere("a_refusal_says_what_to_grant")),
        (
            "settings that a session does not take",
            Proof::Elsewhere("a_session_that_is_not_strict_is_refused"),
        ),
        (
            "an account of a plugin that the host does not have, a binary log of statements",
            Proof::Elsewhere("an_account_of_a_plugin_that_the_host_does_not_have_is_told_so"),
        ),
        ("too few connections", Proof::Elsewhere("a_limit_of_connections_is_named_with_what_the_host_needs")),
        (
            "one name of a constraint in two projections",
            Proof::Elsewhere(
                "two_projections_with_one_name_of_a_constraint_are_told_before_any_event_on_mysql",
            ),
        ),
        ("no control schema", Proof::Elsewhere("a_healthy_setup_passes_the_check_and_leaves_nothing_behind")),
        (
            "a control schema of an older version, of a newer one, or half of one",
            Proof::Elsewhere("a_control_schema_of_any_version_is_gone_on_with"),
        ),
        ("tables that have rows", Proof::Elsewhere("tables_that_have_rows_are_never_filled_from_history")),
        (
            "a table that is missing",
            Proof::Elsewhere("a_missing_table_pauses_the_projection_and_blames_no_event"),
        ),
        ("a key column that takes two ids for one", Proof::Elsewhere("options_are_made_explicit")),
        (
            "a table without a primary key",
            Proof::Elsewhere("sql_that_is_not_allowed_is_refused_with_its_statement"),
        ),
        (
            "a table of another engine, or with partitions",
            Proof::Elsewhere("a_table_cannot_be_more_than_a_table"),
        ),
        (
            "triggers on the tables, foreign keys from outside",
            Proof::Elsewhere("what_others_tie_to_a_read_model_is_refused_before_any_event_is_blamed_for_it"),
        ),
        (
            "the letters' table is full",
            Proof::Elsewhere(
                "without_room_for_another_letter_the_projection_pauses_right_before_it_on_mysql",
            ),
        ),
        (
            "the letters' table is locked",
            Proof::Not(
                "it is one of the batch's tables: 1205, which is tried again, as fault 38 of the catalogue shows",
            ),
        ),
    ]
}

/// Hosts and operators.
fn operations() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("two hosts with one `host.id`", Proof::Elsewhere("two_hosts_of_one_name_have_one_writer")),
        (
            "clocks that disagree",
            Proof::Not("only MySQL's clock counts for the lease: faults 8 and 58 of the catalogue show it"),
        ),
        (
            "a replay of an unknown id",
            Proof::Elsewhere("wishes_that_make_no_sense_are_refused_with_the_way_out"),
        ),
        ("skipping what is not at the head", Proof::Elsewhere("only_heads_can_be_replayed_or_discarded")),
        (
            "a command while another host writes",
            Proof::Elsewhere("a_command_is_a_row_and_is_done_when_a_host_comes_up"),
        ),
    ]
}

pub fn rows() -> Vec<(&'static str, Proof<Case>)> {
    [keys(), bounds(), sources(), read_sides(), operations()].into_iter().flatten().collect()
}

fn mongodb_port() -> String {
    std::env::var("LATERNA_MONGODB_PORT").expect("from dev/services env")
}
