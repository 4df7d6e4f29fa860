//! A collection that gives the transaction's session to each call. What it gives are the driver's own actions, which
//! take options and are awaited as usual.

use bson::Document;
use mongodb::action::{
    Aggregate, CountDocuments, Delete, Find, FindOne, FindOneAndUpdate, InsertMany, InsertOne, ReplaceOne,
    Update,
};
use mongodb::{ClientSession, Collection};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug)]
pub struct Bound<'t, D: Send + Sync = Document> {
    pub(crate) collection: Collection<D>,
    pub(crate) session: &'t mut ClientSession,
}

type ExplicitSession<'t> = mongodb::action::ExplicitSession<'t>;

impl<D: Send + Sync + Serialize + DeserializeOwned> Bound<'_, D> {
    pub fn find_one(&mut self, filter: Document) -> FindOne<'_, D> {
        self.collection.find_one(filter).session(&mut *self.session)
    }

    pub fn find(&mut self, filter: Document) -> Find<'_, D, ExplicitSession<'_>> {
        self.collection.find(filter).session(&mut *self.session)
    }

    pub fn aggregate(
        &mut self,
        pipeline: impl IntoIterator<Item = Document>,
    ) -> Aggregate<'_, ExplicitSession<'_>> {
        self.collection.aggregate(pipeline).session(&mut *self.session)
    }

    pub fn count_documents(&mut self, filter: Document) -> CountDocuments<'_> {
        self.collection.count_documents(filter).session(&mut *self.session)
    }

    pub fn insert_one(&mut self, document: &D) -> InsertOne<'_> {
        self.collection.insert_one(document).session(&mut *self.session)
    }

    pub fn insert_many(&mut self, documents: &[D]) -> InsertMany<'_> {
        self.collection.insert_many(documents).session(&mut *self.session)
    }

    pub fn update_one(&mut self, filter: Document, update: Document) -> Update<'_> {
        self.collection.update_one(filter, update).session(&mut *self.session)
    }

    pub fn update_many(&mut self, filter: Document, update: Document) -> Update<'_> {
        self.collection.update_many(filter, update).session(&mut *self.session)
    }

    pub fn replace_one(&mut self, filter: Document, replacement: &D) -> ReplaceOne<'_> {
        self.collection.replace_one(filter, replacement).session(&mut *self.session)
    }

    pub fn delete_one(&mut self, filter: Document) -> Delete<'_> {
        self.collection.delete_one(filter).session(&mut *self.session)
    }

    pub fn delete_many(&mut self, filter: Document) -> Delete<'_> {
        self.collection.delete_many(filter).session(&mut *self.session)
    }

    pub fn find_one_and_update(&mut self, filter: Document, update: Document) -> FindOneAndUpdate<'_, D> {
        self.collection.find_one_and_update(filter, update).session(&mut *self.session)
    }
}
