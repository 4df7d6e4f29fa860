//! Faults of the source: what goes wrong at MongoDB, or between it and the host, and that it does no harm.

#[path = "mongodb_outages.rs"]
mod outages;
#[path = "mongodb_answers.rs"]
mod answers;
#[path = "mongodb_place.rs"]
mod place;
#[path = "mongodb_outbox.rs"]
mod outbox;

use crate::catalogue::{Proof, Row, test};

pub fn rows() -> Vec<Row> {
    let row = |number, fault, proof| Row { number, fault, proof };
    vec![
        row(13, "the primary is killed", Proof::Quick(test!(outages::the_primary_is_killed))),
        row(14, "the primary steps down", Proof::Slow(test!(outages::the_primary_steps_down))),
        row(15, "the primary is frozen", Proof::Slow(test!(outages::the_primary_is_frozen))),
        row(16, "all of MongoDB is down", Proof::Slow(test!(outages::all_are_down))),
        row(17, "MongoDB has lost its majority", Proof::Slow(test!(outages::the_majority_is_lost))),
        row(
            18,
            "writes that no majority has are rolled back",
            Proof::Quick(test!(outages::writes_are_rolled_back)),
        ),
        row(19, "the connection to MongoDB is cut", Proof::Quick(test!(outages::the_connection_is_cut))),
        row(
            19,
            "the connection to MongoDB is half open",
            Proof::Slow(test!(outages::the_connection_is_half_open)),
        ),
        row(19, "MongoDB is behind a black hole", Proof::Slow(test!(outages::a_black_hole))),
        row(20, "MongoDB is far away", Proof::Slow(test!(outages::mongodb_is_far_away))),
        row(21, "the cursor is killed", Proof::Quick(test!(answers::the_cursor_is_killed))),
        row(22, "MongoDB answers with an error that heals", Proof::Slow(test!(answers::errors_that_heal))),
        row(
            22,
            "MongoDB answers with an error for the operator",
            Proof::Slow(test!(answers::errors_that_pause)),
        ),
        row(
            22,
            "MongoDB answers that the stream is invalidated",
            Proof::Not(
                "its code, 346, needs more than a fail point can say; what it is taken for has a unit test, and rows 26 to 28 \
             bring about what it stands for",
            ),
        ),
        row(23, "every resume fails again", Proof::Quick(test!(answers::a_storm_of_resumes))),
        row(
            24,
            "the oplog is overwritten beyond the checkpoint",
            Proof::Quick(test!(place::the_oplog_is_overwritten)),
        ),
        row(
            24,
            "the oplog is overwritten while MySQL is down",
            Proof::Slow(test!(place::the_oplog_is_overwritten_without_mysql)),
        ),
        row(24, "a rebuild is killed wherever it is", Proof::Slow(test!(place::a_rebuild_is_killed))),
        row(24, "a rebuild would lose something", Proof::Quick(test!(place::a_rebuild_that_would_lose))),
        row(
            24,
            "the source was restored from a backup",
            Proof::Elsewhere(
                "resume::a_checkpoint_that_the_source_has_not_come_to_pauses_even_where_a_rebuild_is_wanted",
            ),
        ),
        row(25, "a quiet outbox in a busy replica set", Proof::Quick(test!(place::a_quiet_outbox))),
        row(26, "the outbox is renamed", Proof::Quick(test!(outbox::it_is_renamed))),
        row(
            27,
            "the outbox is dropped and made again",
            Proof::Quick(test!(outbox::it_is_dropped_and_made_again)),
        ),
        row(28, "the outbox's database is dropped", Proof::Quick(test!(outbox::its_database_is_dropped))),
        row(29, "an event is beyond the document limit", Proof::Quick(test!(outbox::an_event_is_too_large))),
        row(
            30,
            "documents of the outbox are changed and deleted",
            Proof::Quick(test!(outbox::documents_are_changed)),
        ),
        row(31, "a transaction of 10 000 events", Proof::Quick(test!(outbox::a_large_transaction))),
        row(
            32,
            "the host's account at MongoDB loses its role, or has another password",
            Proof::Slow(test!(answers::the_role_is_revoked)),
        ),
        row(60, "the name of MongoDB cannot be looked up", Proof::Quick(test!(outages::the_name_is_unknown))),
    ]
}
