//! What holds where nothing fails.

use bson::{Document, doc};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Scene, as_command, deposit, id, ids, number, open};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn three_languages_make_the_same_outbox_and_make_it_again() {
    let mut scene = Scene::shared().await;
    let mut made = vec![];
    for subject in &mut scene.subjects {
        scene.database.drop().await.expect("MongoDB answers");
        subject.does(json!({ "do": "ensure" })).await;
        subject.does(json!({ "do": "ensure" })).await;
        let mut collections: Vec<Document> = vec![];
        for name in ["outbox", "outbox_commands", "outbox_snapshots"] {
            let found =
                scene.database.list_collections().filter(doc! { "name": name }).await.expect("an answer");
            let found: Vec<_> = found.try_collect().await.expect("an answer");
            let options = bson::serialize_to_document(&found[0].options).expect("options");
            let indexes = scene.database.run_command(doc! { "listIndexes": name }).await.expect("an answer");
            let indexes = indexes.get_document("cursor").expect("a cursor").get_array("firstBatch").cloned();
            collections.push(doc! { "options": options, "indexes": indexes.expect("indexes") });
        }
        made.push(collections);
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2]);
    let outbox = made[0][0].to_string();
    assert!(outbox.contains("$jsonSchema") && outbox.contains("aggregateType_1_aggregateId_1_sequence_1"));
    let by_hand =
        doc! { "_id": "e1", "type": 5, "aggregateType": "account", "aggregateId": "a1", "sequence": 1 };
    let refused = scene.collection("outbox").insert_one(by_hand).await.expect_err("it is no event");
    assert!(refused.to_string().contains("failed validation"), "{refused}");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_its_event_are_written_together_or_not_at_all() {
    let mut scene = Scene::shared().await;
    for at in 0..scene.subjects.len() {
        let account = scene.subjects[at].language;
        let subject = &mut scene.subjects[at];
        let opened = subject.does(open(account)).await;
        let mut traced = deposit(account, 500);
        traced["traceparent"] = TRACE.into();
        let deposited = subject.does(traced).await;
        assert_eq!((&deposited["result"], &deposited["repeated"]), (&json!(500), &json!(false)));
        let taken = json!({ "do": "withdraw", "account": account, "amount": 200 });
        let withdrawn = subject.does(taken).await;
        let too_much = json!({ "do": "withdraw", "account": account, "amount": 301 });
        let why = subject.fails("Refused", too_much).await;
        assert_eq!(why, "300 is less than 301", "{account}");
        scene.assert_sound(account).await;
        let events = scene.events(account).await;
        let told = [ids(&opened), ids(&deposited), ids(&withdrawn)].concat();
        assert_eq!(events.iter().map(id).collect::<Vec<_>>(), told, "{account}");
        let metadata: Vec<_> =
            events.iter().map(|event| event.get_document("metadata").expect("metadata")).collect();
        assert_eq!(metadata, [&doc! {}, &doc! { "traceparent": TRACE }, &doc! {}], "{account}");
        let age = bson::DateTime::now().timestamp_millis()
            - events[0].get_datetime("occurredAt").expect("a date").timestamp_millis();
        assert!((0..60_000).contains(&age), "{account}: {age}");

        let subject = &mut scene.subjects[at];
        let closed = json!({ "do": "close", "account": account, "sequence": 3 });
        assert_eq!(subject.does(closed.clone()).await["result"], 4);
        subject.fails("Conflict", closed).await;
        subject.fails("Conflict", deposit(account, 1)).await;
        assert_eq!(scene.documents("accounts", doc! { "_id": account }).await, [] as [Document; 0]);
        assert_eq!(scene.events(account).await.len(), 4, "{account}");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_sent_twice_acts_once_and_gives_the_same_again() {
    let mut scene = Scene::shared().await;
    for at in 0..scene.subjects.len() {
        let account = scene.subjects[at].language;
        let command = |name: &str| format!("{account}-{name}");
        scene.subjects[at].does(open(account)).await;
        let request = as_command(deposit(account, 5), &command("one"));
        let first = scene.subjects[at].does(request.clone()).await;
        // Whatever happened meanwhile, and whoever asks: languages share the outbox, and what they keep in it.
        scene.subjects[at].does(deposit(account, 100)).await;
        for subject in &mut scene.subjects {
            let again = subject.does(request.clone()).await;
            assert_eq!((&again["result"], ids(&again)), (&json!(5), ids(&first)), "{}", subject.language);
            assert_eq!((&again["repeated"], &again["attempts"]), (&json!(true), &json!(0)));
        }
        let both = join_all(
            scene
                .subjects
                .iter_mut()
                .map(|subject| subject.does(as_command(deposit(account, 7), &command("at once")))),
        );
        let both = both.await;
        assert_eq!(both.iter().filter(|one| one["repeated"] == false).count(), 1, "{both:?}");
        assert!(both.iter().all(|one| ids(one) == ids(&both[0])), "{both:?}");
        // One that failed has not acted, so it may be sent again.
        let request =
            json!({ "do": "withdraw", "account": account, "amount": 113, "command": command("late") });
        scene.subjects[at].fails("Refused", request.clone()).await;
        scene.subjects[at].does(deposit(account, 1)).await;
        assert_eq!(scene.subjects[at].does(request).await["result"], 0);
        scene.assert_sound(account).await;
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_account_in_three_languages_lose_nothing_and_number_without_a_gap() {
    const EACH: usize = 20;
    let mut scene = Scene::shared().await;
    scene.subjects[0].does(open("a1")).await;
    let writing = scene.subjects.iter_mut().map(async |subject| {
        for _ in 0..EACH {
            subject.does(deposit("a1", 3)).await;
        }
    });
    join_all(writing).await;
    assert_eq!(scene.events("a1").await.len(), 1 + 3 * EACH);
    scene.assert_sound("a1").await;
    // Who says which state it follows is told when that is over.
    for subject in &mut scene.subjects {
        let stale = json!({ "do": "deposit", "account": "a1", "amount": 1, "sequence": 5 });
        let why = subject.fails("Conflict", stale).await;
        assert!(why.contains("accounts"), "{why}");
        subject.fails("Conflict", open("a1")).await;
    }
    scene.assert_sound("a1").await;
    scene.close().await;
}

/// What makes an event of another one that is right, and what is said about it.
fn wrong() -> Vec<(Value, &'static str)> {
    let long = |bytes: usize| "x".repeat(bytes);
    vec![
        (json!({ "type": "" }), "`type` has 0 bytes"),
        (json!({ "type": long(129) }), "`type` has 129 bytes; it has 1 to 128"),
        (json!({ "type": "ä".repeat(65) }), "`type` has 130 bytes"),
        (json!({ "type": 5 }), "`type` is of type"),
        (json!({ "aggregateType": "" }), "`aggregateType` has 0 bytes"),
        (json!({ "aggregateId": "" }), "`aggregateId` has 0 bytes"),
        (json!({ "aggregateId": long(513) }), "`aggregateId` has 513 bytes; it has 1 to 512"),
        (json!({ "aggregateId": null }), "`aggregateId` is of type"),
        (json!({ "aggregateId": true }), "`aggregateId` is of type"),
        (json!({ "aggregateId": 1.5 }), "`aggregateId` is of type"),
        (json!({ "aggregateId": { "a": 1 } }), "`aggregateId` is of type"),
        (json!({ "sequence": -1 }), "`sequence` is -1"),
        (json!({ "sequence": "7" }), "`sequence` is of type"),
        (json!({ "sequence": 1.5 }), "`sequence` is of type"),
        (json!({ "version": -1 }), "`version` is -1"),
        (json!({ "payloadBytes": 1_048_577 }), "`payload` has 1048577 bytes as JSON, at most 1048576"),
        (json!({ "payload": vec![1.5; 262_144] }), "`payload` has 1048577 bytes"),
        (json!({ "payload": { "text": "\u{1}".repeat(174_761) } }), "`payload` has 1048577 bytes"),
        (json!({ "payloadLevels": 101 }), "`payload` nests deeper than 100 levels"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_host_would_park_is_refused_with_its_reason_and_nothing_is_changed() {
    let mut scene = Scene::shared().await;
    scene.subjects[0].does(open("a1")).await;
    for (change, why) in wrong() {
        for subject in &mut scene.subjects {
            let mut event = json!({
                "type": "Odd", "aggregateType": "account", "aggregateId": "a1", "sequence": 2, "payload": {},
            });
            event.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            let answer = subject.ask(json!({ "do": "emit", "account": "a1", "event": event })).await;
            // Some of these have no way to be said in Rust.
            if subject.language == "rust" && answer["error"] == "Inexpressible" {
                continue;
            }
            assert_eq!(answer["error"], "InvalidEvent", "{}: {change} gives {answer}", subject.language);
            let said = answer["says"].as_str().expect("a sentence");
            assert!(said.contains(why), "{}: {change} gives {said}", subject.language);
        }
    }
    scene.assert_sound("a1").await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_leaves_the_session_out_is_noticed_even_if_its_function_hides_it() {
    let mut scene = Scene::shared().await;
    let (uri, database) = (scene.uri.clone(), scene.database.name().to_owned());
    for at in 0..scene.subjects.len() {
        let account = scene.subjects[at].language;
        let subject = &mut scene.subjects[at];
        subject.does(open(account)).await;
        for hide in [false, true] {
            let aside = format!("aside_{account}_{hide}");
            let mistake = json!({ "do": "leaveOut", "account": account, "hide": hide, "aside": aside });
            let said = subject.fails("SessionLeftOut", mistake).await;
            assert!(said.starts_with(&format!("`insert` on `{aside}`")), "{said}");
            assert!(said.contains("transaction"), "{said}");
        }
        // The same write outside of a function is everybody's right.
        subject.does(deposit(account, 1)).await;
        let unwatched = json!({ "do": "unwatched", "uri": uri, "database": database });
        let answer = subject.ask(unwatched).await;
        let said = answer["says"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(account == "rust" || said.contains("is noticed"), "{account}: {said}");
        assert_eq!(scene.events(account).await.len(), 2, "{account}");
        scene.assert_sound(account).await;
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_sourced_aggregate_is_appended_to_loaded_and_snapshot_in_any_language() {
    let mut scene = Scene::shared().await;
    let append = |id: &str, sequence: i64, amounts: &[i64]| {
        let events: Vec<Value> = amounts.iter().map(|amount| json!(["Went", { "amount": amount }])).collect();
        json!({ "do": "append", "id": id, "sequence": sequence, "events": events })
    };
    for at in 0..scene.subjects.len() {
        let id = scene.subjects[at].language;
        let subject = &mut scene.subjects[at];
        let load = json!({ "do": "load", "id": id });
        assert_eq!(subject.does(load.clone()).await, json!([0, 0]));
        assert_eq!(subject.does(append(id, 0, &[5, 7])).await["result"], 2);
        for wrong in [0, 1, 3] {
            let why = subject.fails("Conflict", append(id, wrong, &[100])).await;
            assert_eq!(why.replace('"', ""), format!("transfer/{id} is at sequence 2, not {wrong}"));
        }
        let command = as_command(append(id, 2, &[1]), &format!("append-{id}"));
        let first = subject.does(command.clone()).await;
        assert_eq!(ids(&subject.does(command).await), ids(&first));
        // A wrong state shows that it is taken, and that an older one does not replace it.
        subject.does(json!({ "do": "snapshot", "id": id, "sequence": 2, "state": 1000 })).await;
        subject.does(json!({ "do": "snapshot", "id": id, "sequence": 1, "state": 5 })).await;
        for subject in &mut scene.subjects {
            assert_eq!(subject.does(load.clone()).await, json!([1001, 3]), "{} of {id}", subject.language);
        }
    }
    // Of those that append to one state, one is right.
    let answers =
        join_all(scene.subjects.iter_mut().map(|subject| subject.ask(append("all", 0, &[1])))).await;
    assert_eq!(answers.iter().filter(|answer| answer["ok"]["result"] == 1).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer["error"] == "Conflict").count(), 2, "{answers:?}");
    let events = scene.documents("outbox", doc! { "aggregateType": "transfer", "aggregateId": "all" }).await;
    assert_eq!(events.iter().map(|event| number(event, "sequence")).collect::<Vec<_>>(), [1]);
    scene.close().await;
}
