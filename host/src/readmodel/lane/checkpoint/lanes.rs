//! Other lanes in the place of those that there are: all at one position, with what they had together.

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::{packed_time, stored, stored_anchor, stored_fingerprint};
use crate::event::Anchor;
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::position::Position;
use crate::readmodel::control::control_db::LeaderDb;
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::letter_limits::Volume;
use crate::readmodel::lane::witness;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

impl LeaderDb<'_> {
    /// Puts `lanes` new rows in the place of whatever rows there are, all at one position, under the lease, and others into the
    /// witness, which is in the session's database. After a failure the session must not be used again; whether it happened, the
    /// rows tell.
    pub async fn replace_lanes(
        &mut self,
        generation: u32,
        lanes: u32,
        position: &Position,
    ) -> Result<(), Failure> {
        let doing = "setting up the lanes";
        let failed = |error: sqlx::Error| classify(doing, &error);
        let epoch = self.epoch;
        let mut transaction = self.begin(doing).await?;
        let (control, projection) = (transaction.control, transaction.projection);
        let totals = totals(&mut transaction, control, projection, generation).await?;
        let delete = control.sql("DELETE FROM laterna.checkpoint WHERE projection = ? AND generation = ?");
        sqlx::query(&delete).bind(projection).bind(generation).run(&mut transaction).await.map_err(failed)?;
        let insert = control.sql(
            "INSERT INTO laterna.checkpoint \
             (projection, generation, lane, epoch, batch, position, digest, events, parked, ignored, known_events, letters, \
              letter_bytes, fingerprint, fingerprint_events, anchor, anchor_time, streams_since) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        let streams_since = totals.streams_since(position);
        for lane in 0..lanes {
            // The totals of the lanes before are kept with the first one.
            let ([events, parked, ignored, known], letters, fingerprint) = if lane == 0 {
                (totals.counts, totals.letters, totals.fingerprint)
            } else {
                Default::default()
            };
            sqlx::query(&insert)
                .bind(projection)
                .bind(generation)
                .bind(lane)
                .bind(epoch)
                .bind(totals.batch)
                .bind(stored(position))
                .bind(&totals.digest)
                .bind(events)
                .bind(parked)
                .bind(ignored)
                .bind(known)
                .bind(letters.letters)
                .bind(letters.bytes)
                .bind(fingerprint.sum.to_be_bytes().to_vec())
                .bind(fingerprint.events)
                .bind(totals.anchor.as_ref().map(|anchor| anchor.id.key()))
                .bind(totals.anchor.as_ref().map(|anchor| packed_time(anchor.time)))
                .bind(streams_since)
                .run(&mut transaction)
                .await
                .map_err(failed)?;
        }
        witness::write(&mut transaction, control, projection, generation).await?;
        // Marks of lanes that are no more would never be pruned.
        let marks = control.sql("UPDATE laterna.dedupe SET lane = 0 WHERE projection = ? AND generation = ?");
        sqlx::query(&marks).bind(projection).bind(generation).run(&mut transaction).await.map_err(failed)?;
        let count = control
            .sql("UPDATE laterna.projection SET lanes = ? WHERE projection = ? AND live_generation = ?");
        let counted =
            sqlx::query(&count).bind(lanes).bind(projection).bind(generation).run(&mut transaction).await;
        counted.map_err(failed)?;
        transaction.commit().await
    }
}

/// Sums over the lanes.
struct Totals {
    /// Their next batch: the number goes on, so that a lane notices when the server loses the transaction.
    batch: u64,
    digest: String,
    /// Events, letters' events, those an upcaster made nothing of, those that the fingerprint covers.
    counts: [u64; 4],
    letters: Volume,
    fingerprint: Fingerprint,
    /// The last event of any.
    anchor: Option<Anchor>,
    /// How many lanes there are, and from when on all of them have taken everything from the stream, where that is known.
    lanes: u64,
    streams_since: Option<u64>,
}

impl Totals {
    /// From when on lanes at this position take everything from the stream.
    fn streams_since(&self, position: &Position) -> Option<u64> {
        match position {
            Position::Stream { .. } if self.lanes > 0 => self.streams_since,
            begin => begin.time().map(packed_time),
        }
    }
}

async fn totals(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    generation: u32,
) -> Result<Totals, Failure> {
    let failed = |error: sqlx::Error| classify("adding the lanes up", &error);
    let sql = control.sql(
        "SELECT CAST(COALESCE(MAX(batch) + 1, 0) AS UNSIGNED), CAST(COALESCE(SUM(events), 0) AS UNSIGNED), \
         CAST(COALESCE(SUM(parked), 0) AS UNSIGNED), CAST(COALESCE(SUM(ignored), 0) AS UNSIGNED), \
         CAST(COALESCE(SUM(known_events), 0) AS UNSIGNED), COALESCE(MAX(digest), ''), \
         CAST(COALESCE(SUM(letters), 0) AS SIGNED), CAST(COALESCE(SUM(letter_bytes), 0) AS SIGNED), \
         CAST(COUNT(*) AS UNSIGNED), \
         CAST(IF(COUNT(*) = COUNT(streams_since), MAX(streams_since), NULL) AS UNSIGNED) \
         FROM laterna.checkpoint WHERE projection = ? AND generation = ?",
    );
    let row = sqlx::query(&sql).bind(projection).bind(generation).row(connection).await.map_err(failed)?;
    let number = |column: usize| row.try_get::<u64, _>(column).map_err(failed);
    let mut totals = Totals {
        batch: number(0)?,
        digest: row.try_get(5).map_err(failed)?,
        counts: [number(1)?, number(2)?, number(3)?, number(4)?],
        letters: Volume { letters: row.try_get(6).map_err(failed)?, bytes: row.try_get(7).map_err(failed)? },
        fingerprint: Fingerprint::default(),
        anchor: None,
        lanes: number(8)?,
        streams_since: row.try_get(9).map_err(failed)?,
    };
    // Sums of this kind are beyond SQL.
    let sql = control.sql(
        "SELECT fingerprint, fingerprint_events, anchor, anchor_time FROM laterna.checkpoint \
         WHERE projection = ? AND generation = ?",
    );
    let rows = sqlx::query(&sql).bind(projection).bind(generation).rows(connection).await.map_err(failed)?;
    for row in &rows {
        totals.fingerprint = totals.fingerprint.and(stored_fingerprint(row)?);
        let anchors = totals.anchor.into_iter().chain(stored_anchor(row)?);
        totals.anchor = anchors.max_by_key(|anchor| anchor.time);
    }
    Ok(totals)
}
