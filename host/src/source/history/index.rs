//! The index in whose order history is read: which one it is, or why none of the outbox's will do.
//!
//! Every message that asks for an index prints a command that no write of the outbox can fail for.

use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::Collation;

use crate::event::Event;
use crate::failure::Failure;
use crate::source::error::classify;
use crate::source::{Decoder, Fields, Outbox};

/// An index that gives every document a place of its own: by `_id`, or by being unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryIndex {
    pub name: String,
    pub fields: Vec<String>,
}

/// The beginning of the remedy where there is no index for history; the commands of mongosh follow.
pub const CREATE_INDEX: &str = "create it with: ";

/// The remedy where documents have no sequence.
const ADD_SEQUENCES: &str = "add it to the outbox's documents, or begin with `start = \"now\"`";

/// How long events without a sequence are looked for before history is read: what is not found by then, its reader meets.
const LOOKING_MAX: Duration = Duration::from_secs(5);

/// How many documents without a sequence are looked at. Those that are no events become dead letters.
const LOOKED_AT_MAX: i64 = 1000;

/// How many of them are in memory at a time: each may have 16 MB.
const LOOKED_AT_TOGETHER: u32 = 4;

impl Outbox {
    pub async fn history_index(&self, fields: &Fields) -> Result<HistoryIndex, Failure> {
        let indexes = self.indexes().await?;
        if let Some(index) = choose(&indexes, fields) {
            return Ok(index);
        }
        let newest = self.last(1).await?.pop();
        if newest.is_some_and(|document| matches!(document.get(&fields.sequence), Ok(None))) {
            return Err(Failure::misconfigured(
                format!(
                    "the newest document of the outbox has no `{}`, so the order of history is unknown",
                    fields.sequence
                ),
                ADD_SEQUENCES,
            ));
        }
        Err(missing(&indexes, fields, self.name()))
    }
}

impl Outbox {
    /// Fails with an event that has no sequence, if one is found soon.
    pub async fn has_sequences(&self, decoder: &Decoder, index: &HistoryIndex) -> Result<(), Failure> {
        let lacks = doc! { &decoder.fields().sequence: { "$exists": false } };
        let collection = self.collection().await?;
        let found = collection
            .find(lacks)
            .hint(mongodb::options::Hint::Name(index.name.clone()))
            .collation(Collation::builder().locale("simple").build())
            .max_time(LOOKING_MAX)
            .batch_size(LOOKED_AT_TOGETHER)
            .limit(LOOKED_AT_MAX);
        let event = async {
            let mut documents = found.await?;
            while let Some(document) = documents.try_next().await? {
                let document: RawDocumentBuf = document;
                if let Ok(event) = decoder.decode(&document) {
                    return Ok::<_, Error>(Some(event));
                }
            }
            Ok(None)
        };
        match event.await {
            Ok(event) => event.map_or(Ok(()), |event| Err(without_sequence(&event, decoder.fields()))),
            Err(error) if took_too_long(&error) => Ok(()),
            Err(error) => Err(classify("looking for events without a sequence", &error)),
        }
    }
}

/// Returns true where the server gave up because the time was over (`MaxTimeMSExpired`).
fn took_too_long(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == 50)
}

/// The failure of an event that has no place in history.
pub(super) fn without_sequence(event: &Event, fields: &Fields) -> Failure {
    Failure::misconfigured(
        format!(
            "the event {} of {} has no `{}`, so the order of history is unknown",
            event.id.spelled(),
            event.aggregate.spelled(),
            fields.sequence
        ),
        ADD_SEQUENCES,
    )
}

impl Outbox {
    /// Makes the index by which history is read, for `laterna check --fix=run`. What is in its way stays, and is told.
    pub async fn create_history_index(&self, fields: &Fields) -> Result<(), Failure> {
        let indexes = self.indexes().await?;
        let [with_id, _] = orders(fields);
        let keys: Document = with_id.into_iter().map(|name| (name, Bson::Int32(1))).collect();
        let mut index = doc! { "key": keys, "name": NAME };
        if has_default_collation(&indexes) {
            index.insert("collation", doc! { "locale": "simple" });
        }
        let create = doc! { "createIndexes": self.name(), "indexes": [index] };
        self.command("creating the index for history", create).await.map(|_| ())
    }
}

/// The fields that order history: those of a unique index, and with `_id` behind them those of any.
fn orders(fields: &Fields) -> [Vec<String>; 2] {
    let order = [&fields.aggregate_type, &fields.aggregate_id, &fields.sequence].map(Clone::clone).to_vec();
    let with_id = [&order[..], &["_id".to_owned()]].concat();
    [with_id, order]
}

fn choose(indexes: &[IndexModel], fields: &Fields) -> Option<HistoryIndex> {
    let [with_id, order] = orders(fields);
    let usable = |index: &&IndexModel| obstacle(index).is_none();
    let mut usable = indexes.iter().filter(usable).filter_map(|index| {
        let fits = has_keys(index, &with_id) || is_unique(index) && has_keys(index, &order);
        fits.then(|| HistoryIndex {
            name: name(index).to_owned(),
            fields: index.keys.keys().cloned().collect(),
        })
    });
    usable.next()
}

/// The name that an index has whose own name would be taken.
const NAME: &str = "laterna_history";

/// The failure where no index will do: what the nearest one lacks, and the command that makes one.
fn missing(indexes: &[IndexModel], fields: &Fields, collection: &str) -> Failure {
    let [with_id, order] = orders(fields);
    let nearest = indexes.iter().find(|index| has_keys(index, &with_id) || has_keys(index, &order));
    let usual = with_id.iter().map(|name| format!("{name}_1")).collect::<Vec<_>>().join("_");
    let is_usual = nearest.is_none() && indexes.iter().all(|index| name(index) != usual);
    let wanted = if is_usual { usual.as_str() } else { NAME };
    let namesake = indexes.iter().find(|index| name(index) == wanted && !has_keys(index, &with_id));
    let is_in = |index: &IndexModel, others: [Option<&IndexModel>; 2]| {
        others.into_iter().flatten().any(|other| std::ptr::eq(other, index))
    };
    let of_usual_name = indexes
        .iter()
        .find(|index| name(index) == usual && !has_keys(index, &with_id) && !has_keys(index, &order));
    let why = |index: &IndexModel| {
        if is_in(index, [namesake, of_usual_name]) {
            let fields: Vec<&str> = index.keys.keys().map(String::as_str).collect();
            return format!("its fields are {}", fields.join(", "));
        }
        obstacle(index).unwrap_or("it is not unique and does not end with `_id`").to_owned()
    };
    let unfit = indexes
        .iter()
        .filter(|index| is_in(index, [nearest, namesake]) || is_in(index, [of_usual_name, None]));
    let lacks: Vec<String> =
        unfit.map(|index| format!("the index \"{}\" cannot serve: {}", name(index), why(index))).collect();
    let lacks = if lacks.is_empty() { String::new() } else { format!(" ({})", lacks.join("; ")) };
    // MongoDB takes a second index with the same keys only where their collations differ.
    let same_keys = nearest.filter(|index| has_keys(index, &with_id) && !has_collation(index));
    let in_the_way = same_keys.into_iter().chain(namesake);
    let drop = in_the_way
        .map(|index| format!("db.getCollection(\"{collection}\").dropIndex(\"{}\"), then ", name(index)))
        .collect::<Vec<_>>()
        .concat();
    let options = [
        has_default_collation(indexes).then(|| "collation: { locale: \"simple\" }".to_owned()),
        (!is_usual).then(|| format!("name: \"{NAME}\"")),
    ];
    let options: Vec<String> = options.into_iter().flatten().collect();
    let options = if options.is_empty() { String::new() } else { format!(", {{ {} }}", options.join(", ")) };
    Failure::misconfigured(
        format!("the order of events in history is unknown without an index on it{lacks}"),
        format!("{CREATE_INDEX}{drop}{}", create_command(&with_id, collection, &options)),
    )
}

/// The command of mongosh that makes the index in a new outbox, and the outbox with it.
pub fn of_new_outbox(fields: &Fields, collection: &str) -> String {
    let [with_id, _] = orders(fields);
    create_command(&with_id, collection, "")
}

fn create_command(with_id: &[String], collection: &str, options: &str) -> String {
    let keys = with_id.iter().map(|name| format!("\"{name}\": 1")).collect::<Vec<_>>().join(", ");
    format!("db.getCollection(\"{collection}\").createIndex({{ {keys} }}{options})")
}

/// Why an index does not have every document in plain ascending order.
fn obstacle(index: &IndexModel) -> Option<&'static str> {
    let options = index.options.as_ref()?;
    let obstacles = [
        (options.sparse == Some(true), "it is sparse"),
        (options.partial_filter_expression.is_some(), "it is partial"),
        (has_collation(index), "it has a collation, which sorts ids otherwise than by their bytes"),
        (options.hidden == Some(true), "it is hidden"),
    ];
    obstacles.into_iter().find(|(is_so, _)| *is_so).map(|(_, why)| why)
}

/// Returns true where the collection was created with a collation, which its indexes have unless they name another one.
fn has_default_collation(indexes: &[IndexModel]) -> bool {
    let of_ids: Document = [("_id".to_owned(), Bson::Int32(1))].into_iter().collect();
    indexes.iter().any(|index| index.keys == of_ids && has_collation(index))
}

fn has_collation(index: &IndexModel) -> bool {
    let collation: Option<&Collation> = index.options.as_ref().and_then(|options| options.collation.as_ref());
    collation.is_some()
}

/// Every index of a server has a name.
fn name(index: &IndexModel) -> &str {
    index.options.as_ref().and_then(|options| options.name.as_deref()).unwrap_or_default()
}

fn is_unique(index: &IndexModel) -> bool {
    index.options.as_ref().is_some_and(|options| options.unique == Some(true))
}

fn has_keys(index: &IndexModel, names: &[String]) -> bool {
    index.keys.keys().eq(names) && index.keys.values().all(is_ascending)
}

fn is_ascending(direction: &Bson) -> bool {
    direction.as_i32() == Some(1) || direction.as_i64() == Some(1) || direction.as_f64() == Some(1.0)
}

#[cfg(test)]
mod tests {
    use mongodb::options::IndexOptions;

    use super::*;

    fn index(keys: Document, options: IndexOptions) -> IndexModel {
        IndexModel::builder().keys(keys).options(options).build()
    }

    fn named(name: &str) -> IndexOptions {
        IndexOptions::builder().name(name.to_owned()).build()
    }

    fn with(name: &str, change: impl FnOnce(&mut IndexOptions)) -> IndexOptions {
        let mut options = named(name);
        change(&mut options);
        options
    }

    fn order() -> Document {
        doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1 }
    }

    fn with_id() -> Document {
        doc! { "aggregateType": 1, "aggregateId": 1.0, "sequence": 1_i64, "_id": 1 }
    }

    #[test]
    fn an_index_serves_that_is_unique_or_ends_with_the_id() {
        let fields = Fields::default();
        let unique = with("u", |options| options.unique = Some(true));
        assert_eq!(choose(&[index(order(), unique)], &fields).map(|index| index.name), Some("u".into()));
        assert_eq!(
            choose(&[index(with_id(), named("i"))], &fields).map(|index| index.name),
            Some("i".into())
        );
        assert_eq!(choose(&[index(order(), named("o"))], &fields), None);
        let sparse = with("s", |options| options.sparse = Some(true));
        assert_eq!(choose(&[index(with_id(), sparse)], &fields), None);
    }

    #[test]
    fn the_printed_command_makes_an_index_that_no_write_can_fail_for() {
        let says = missing(&[], &Fields::debezium(), "outbox").to_string();
        let command =
            "createIndex({ \"aggregatetype\": 1, \"aggregateid\": 1, \"sequence\": 1, \"_id\": 1 })";
        assert!(says.ends_with(command), "{says}");
    }

    #[test]
    fn an_index_that_comes_near_is_named_with_what_it_lacks() {
        let fields = Fields::default();
        let says = missing(&[index(order(), named("mine"))], &fields, "outbox").to_string();
        assert!(says.contains("the index \"mine\" cannot serve: it is not unique"), "{says}");
        assert!(!says.contains("dropIndex"), "{says}");
        let partial = with("part", |options| options.partial_filter_expression = Some(doc! { "a": 1 }));
        let says = missing(&[index(with_id(), partial)], &fields, "outbox").to_string();
        assert!(says.contains("it is partial") && says.contains("dropIndex(\"part\"), then "), "{says}");
    }

    #[test]
    fn an_index_of_the_name_that_has_other_fields_is_dropped_by_the_command() {
        let fields = Fields::default();
        let usual = "aggregateType_1_aggregateId_1_sequence_1__id_1";
        let says = missing(&[index(order(), named(usual))], &fields, "outbox").to_string();
        assert!(says.ends_with("{ name: \"laterna_history\" })") && !says.contains("dropIndex"), "{says}");
        let other = index(doc! { "sequence": 1 }, named("laterna_history"));
        let says = missing(&[index(order(), named("mine")), other], &fields, "outbox").to_string();
        assert!(
            says.contains("the index \"laterna_history\" cannot serve: its fields are sequence"),
            "{says}"
        );
        assert!(says.contains("dropIndex(\"laterna_history\"), then "), "{says}");
        let same = index(doc! { "sequence": 1 }, named(usual));
        let says = missing(&[same], &fields, "outbox").to_string();
        assert!(says.ends_with("{ name: \"laterna_history\" })") && !says.contains("dropIndex"), "{says}");
    }

    #[test]
    fn where_the_collection_has_a_collation_the_command_names_the_simple_one() {
        let german = || Collation::builder().locale("de".to_owned()).build();
        let ids = index(doc! { "_id": 1 }, with("_id_", |options| options.collation = Some(german())));
        let inherited = index(with_id(), with("mine", |options| options.collation = Some(german())));
        let says = missing(&[ids, inherited], &Fields::default(), "outbox").to_string();
        let options = "{ collation: { locale: \"simple\" }, name: \"laterna_history\" })";
        assert!(says.contains("it has a collation") && says.ends_with(options), "{says}");
        let usual = "aggregateType_1_aggregateId_1_sequence_1__id_1";
        let inherited = index(with_id(), with(usual, |options| options.collation = Some(german())));
        let says = missing(&[inherited], &Fields::default(), "outbox").to_string();
        assert!(
            says.contains("cannot serve: it has a collation") && says.contains("laterna_history"),
            "{says}"
        );
    }
}
