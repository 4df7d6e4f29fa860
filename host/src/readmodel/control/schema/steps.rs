//! What each version of the control schema adds to the one before.

/// Steps from each version of the control schema to the next one. A released step never changes. A step creates a table, adds a
/// column or a key, changes a column that others follow, or fills a table: `whole` makes one statement for each table of them.
pub(super) const STEPS: [&[&str]; 17] = [
    &TABLES,
    &LETTERS_AND_ACKNOWLEDGEMENTS,
    &DEPLOYMENTS,
    &GENERATIONS,
    &COMMANDS,
    &ACCOUNTS,
    &FINGERPRINTS,
    &TAKEN_UP,
    &WITNESSES,
    &OUTCOMES,
    &CANCELS,
    &REPLAYS,
    &ANSWERS,
    &TIMES_LEFT,
    &ENDS,
    &DIGESTS,
    &CARRIED_OUT_BY,
];

/// The version this host creates.
pub const VERSION: u32 = 17;

/// Version 17.
const CARRIED_OUT_BY: [&str; 1] = [
    // The host that carries a command out, or has done so: the last one that took it up. Of what a command line did itself, whoever ran
    // that. NULL: nobody so far, or an older host.
    "ALTER TABLE laterna.command ADD COLUMN carried_out_by VARCHAR(255) NULL",
];

/// Version 16.
const DIGESTS: [&str; 2] = [
    // Whether a letter or a mark still refers to a component, for whoever removes those that nothing refers to.
    "ALTER TABLE laterna.dead_letter ADD KEY by_digest (digest)",
    "ALTER TABLE laterna.dedupe ADD KEY by_digest (digest)",
];

/// Version 15.
const ENDS: [&str; 1] = [
    // What was over last, for whoever looks at that from time to time.
    "ALTER TABLE laterna.command ADD KEY by_end (projection, finished_at)",
];

/// Version 14.
const TIMES_LEFT: [&str; 1] = [
    // When a generation that is built will take the live one's place, as the host that builds it judged last. NULL: not known.
    "ALTER TABLE laterna.generation ADD COLUMN ready_at TIMESTAMP(6) NULL",
];

/// Version 13.
const ANSWERS: [&str; 1] = [
    // What requests were answered that may come twice and are no commands, by their keys: uploads and cancellations.
    "CREATE TABLE IF NOT EXISTS laterna.answer (
        scope VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        once CHAR(32) CHARACTER SET ascii NOT NULL,
        asked CHAR(32) CHARACTER SET ascii NOT NULL,
        body MEDIUMTEXT NOT NULL,
        answered_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (scope, once),
        KEY by_time (answered_at)
    ) ENGINE=InnoDB",
];

/// Version 12.
const REPLAYS: [&str; 1] = [
    // In a row about one letter: with which component its event was applied. NULL: not said; of batches, the lanes' changes say it.
    "ALTER TABLE laterna.dedupe ADD COLUMN digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NULL",
];

/// Version 11.
const CANCELS: [&str; 3] = [
    // Who cancelled a command, and when: it is over (`failed`), or the host that carries it out ends it before the next letter.
    "ALTER TABLE laterna.command ADD COLUMN cancelled_by VARCHAR(255) NULL",
    "ALTER TABLE laterna.command ADD COLUMN cancelled_at TIMESTAMP(6) NULL",
    // The command that began a generation. NULL: an older host began it, or no command did.
    "ALTER TABLE laterna.generation ADD COLUMN opened_by BIGINT UNSIGNED NULL",
];

/// Version 10.
const OUTCOMES: [&str; 5] = [
    // What became of a row's events, by where their ids stand: first those that were applied or became letters; from
    // `ignored_from` bytes on those that came to nothing; from `discarded_from` on those that were given up. NULL: not said.
    "ALTER TABLE laterna.dedupe ADD COLUMN ignored_from INT UNSIGNED NULL",
    "ALTER TABLE laterna.dedupe ADD COLUMN discarded_from INT UNSIGNED NULL",
    // 1 where whatever reads in the row like an id behind its length is one of its ids, so that LOCATE finds no other.
    "ALTER TABLE laterna.dedupe ADD COLUMN plain TINYINT NULL",
    // A letter by its event.
    "ALTER TABLE laterna.dead_letter ADD KEY by_event (projection, generation, event_key)",
    // From which cluster time on the lane has taken events from the change stream, where all are seen; what is older came
    // from history, where documents may have been missing. NULL: not known.
    "ALTER TABLE laterna.checkpoint ADD COLUMN streams_since BIGINT UNSIGNED NULL",
];

/// Version 9.
const WITNESSES: [&str; 2] = [
    // What the witness beside the generation's tables says, as the last host wrote it that knows one: of which batch, and the
    // stamp of that run. Where `batch` is larger, an older host has gone on since; where it is NULL, none was written.
    "ALTER TABLE laterna.checkpoint ADD COLUMN witness_batch BIGINT UNSIGNED NULL",
    "ALTER TABLE laterna.checkpoint ADD COLUMN witness_stamp BIGINT UNSIGNED NULL",
];

/// Version 8.
const TAKEN_UP: [&str; 4] = [
    // The command that a deployment came from.
    "ALTER TABLE laterna.deployment ADD COLUMN command BIGINT UNSIGNED NULL",
    // Since when every lane of the live generation works with it; until then, what the host that writes says of it.
    "ALTER TABLE laterna.deployment ADD COLUMN taken_up_at TIMESTAMP(6) NULL",
    "ALTER TABLE laterna.deployment ADD COLUMN waits TEXT NULL",
    // When the host that writes said that no lane takes events: only what is not older than the pause counts.
    "ALTER TABLE laterna.pause ADD COLUMN still_at TIMESTAMP(6) NULL",
];

/// Version 7.
const FINGERPRINTS: [&str; 9] = [
    // The key of the hashes of event ids: made once, by whichever host is first.
    "CREATE TABLE IF NOT EXISTS laterna.installation (
        id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
        seed BINARY(16) NOT NULL,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB",
    "INSERT IGNORE INTO laterna.installation (id, seed) VALUES (1, RANDOM_BYTES(16))",
    // Which events a lane has taken: the wrapping sum of their marks, and how many they are, without those that came again.
    "ALTER TABLE laterna.checkpoint ADD COLUMN fingerprint BINARY(16) NOT NULL DEFAULT ''",
    "ALTER TABLE laterna.checkpoint ADD COLUMN fingerprint_events BIGINT UNSIGNED NOT NULL DEFAULT 0",
    // Of how many deliveries that tells. Where `events` is larger, an older host took some, and the fingerprint is unknown.
    "ALTER TABLE laterna.checkpoint ADD COLUMN known_events BIGINT UNSIGNED NOT NULL DEFAULT 0",
    // The last event of a lane: its id's key, and when it was committed to the outbox, in seconds and writes.
    "ALTER TABLE laterna.checkpoint ADD COLUMN anchor VARBINARY(600) NULL",
    "ALTER TABLE laterna.checkpoint ADD COLUMN anchor_time BIGINT UNSIGNED NULL",
    // That a generation was not made from all events that the live one took, in words, and whether an operator takes it so.
    "ALTER TABLE laterna.generation ADD COLUMN lacks TEXT NULL",
    "ALTER TABLE laterna.generation ADD COLUMN lacks_accepted TINYINT NOT NULL DEFAULT 0",
];

/// Version 6.
const ACCOUNTS: [&str; 2] = [
    // The account of the session that holds the lease, and which session that is: an older host does not write it.
    "ALTER TABLE laterna.lease ADD COLUMN account VARCHAR(400) NULL",
    "ALTER TABLE laterna.lease ADD COLUMN account_connection_id BIGINT UNSIGNED NOT NULL DEFAULT 0",
];

/// Version 5.
const COMMANDS: [&str; 3] = [
    // A command names each letter that it is about.
    "ALTER TABLE laterna.command MODIFY COLUMN request MEDIUMTEXT NOT NULL",
    // What a command waits for that was tried in vain, and since when.
    "ALTER TABLE laterna.command ADD COLUMN waits TEXT NULL",
    "ALTER TABLE laterna.command ADD COLUMN waits_since TIMESTAMP(6) NULL",
];

/// Version 4.
const GENERATIONS: [&str; 6] = [
    // Generations whose tables are not the live ones: each in a schema of its own, its place.
    "CREATE TABLE IF NOT EXISTS laterna.generation (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        generation INT UNSIGNED NOT NULL,
        place VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        purpose ENUM('replace', 'look', 'verify', 'repair') NOT NULL,
        state ENUM('building', 'meeting', 'cutting-over', 'comparing', 'kept', 'dropping') NOT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        table_names TEXT NOT NULL,
        stop_at VARCHAR(64) NULL,
        only_aggregate VARCHAR(700) NULL,
        expected BIGINT UNSIGNED NOT NULL,
        accepted TINYINT NOT NULL DEFAULT 0,
        attempts INT UNSIGNED NOT NULL DEFAULT 0,
        origin ENUM('configuration', 'command', 'rollback') NOT NULL,
        command BIGINT UNSIGNED NULL,
        requested_by VARCHAR(255) NOT NULL,
        since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        reason TEXT NULL,
        PRIMARY KEY (projection, generation),
        KEY by_command (command)
    ) ENGINE=InnoDB",
    // The highest number that a generation has had: none has it again.
    "ALTER TABLE laterna.projection ADD COLUMN last_generation INT UNSIGNED NOT NULL DEFAULT 0",
    // The sessions of a cut-over: the one that renames tables, and the one that keeps the lease meanwhile.
    "ALTER TABLE laterna.lease ADD COLUMN ddl_connection_id BIGINT UNSIGNED NOT NULL DEFAULT 0",
    "ALTER TABLE laterna.lease ADD COLUMN guard_connection_id BIGINT UNSIGNED NOT NULL DEFAULT 0",
    // A projector behind an upcaster. Its digest stands wherever that of a projector alone does; both components are stored.
    "CREATE TABLE IF NOT EXISTS laterna.pair (
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL PRIMARY KEY,
        projector CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        upcaster CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL
    ) ENGINE=InnoDB",
    // Of how many events an upcaster made nothing.
    "ALTER TABLE laterna.checkpoint ADD COLUMN ignored BIGINT UNSIGNED NOT NULL DEFAULT 0",
];

/// Version 3.
const DEPLOYMENTS: [&str; 5] = [
    // Components, whole: their parts are written first.
    "CREATE TABLE IF NOT EXISTS laterna.component (
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL PRIMARY KEY,
        name VARCHAR(255) NOT NULL,
        version VARCHAR(255) NOT NULL,
        bytes BIGINT UNSIGNED NOT NULL,
        stored_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS laterna.component_part (
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        at BIGINT UNSIGNED NOT NULL,
        bytes LONGBLOB NOT NULL,
        PRIMARY KEY (digest, at)
    ) ENGINE=InnoDB",
    // What each projection was given. The last one that is `deployed` is in force.
    "CREATE TABLE IF NOT EXISTS laterna.deployment (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        previous CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NULL,
        origin ENUM('configuration', 'command', 'rollback') NOT NULL,
        state ENUM('deployed', 'refused', 'taken-back') NOT NULL,
        deployed_by VARCHAR(255) NOT NULL,
        deployed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        canary_until TIMESTAMP(6) NULL,
        reason TEXT NULL,
        KEY by_projection (projection, state, id)
    ) ENGINE=InnoDB",
    // From which position on a lane works with a digest.
    "CREATE TABLE IF NOT EXISTS laterna.deployment_lane (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        generation INT UNSIGNED NOT NULL,
        lane INT UNSIGNED NOT NULL,
        batch BIGINT UNSIGNED NOT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        position MEDIUMTEXT NOT NULL,
        changed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (projection, generation, lane, batch)
    ) ENGINE=InnoDB",
    // Which projection each table of a read model belongs to. What is not registered any more owns nothing.
    "CREATE TABLE IF NOT EXISTS laterna.projection_table (
        table_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        PRIMARY KEY (table_schema, table_name)
    ) ENGINE=InnoDB",
];

/// Version 2.
const LETTERS_AND_ACKNOWLEDGEMENTS: [&str; 14] = [
    // When the personal data of a letter was erased.
    "ALTER TABLE laterna.dead_letter ADD COLUMN erased_at TIMESTAMP(6) NULL",
    // The key of a letter's event, for what the outbox is to be told of it.
    "ALTER TABLE laterna.dead_letter ADD COLUMN event_key VARBINARY(600) NULL",
    // Up to which position a row's events lie for certain, and what the outbox was told of them: 1 marked, 2 deleted.
    "ALTER TABLE laterna.dedupe ADD COLUMN bound MEDIUMTEXT NULL",
    "ALTER TABLE laterna.dedupe ADD COLUMN acknowledged TINYINT UNSIGNED NOT NULL DEFAULT 0",
    "ALTER TABLE laterna.dedupe ADD KEY by_acknowledgement (projection, generation, acknowledged, lane, id)",
    // The document's length; where version 1 wrote the letter, that of `document`.
    "ALTER TABLE laterna.dead_letter ADD COLUMN document_bytes BIGINT UNSIGNED NULL",
    // In how many parts a document is stored that is too large for a packet; then `document` is empty.
    "ALTER TABLE laterna.dead_letter ADD COLUMN parts INT UNSIGNED NOT NULL DEFAULT 0",
    // The command under which it last failed: no command tries a letter twice.
    "ALTER TABLE laterna.dead_letter ADD COLUMN command BIGINT UNSIGNED NULL",
    "CREATE TABLE IF NOT EXISTS laterna.dead_letter_part (
        letter BIGINT UNSIGNED NOT NULL,
        part INT UNSIGNED NOT NULL,
        bytes LONGBLOB NOT NULL,
        PRIMARY KEY (letter, part)
    ) ENGINE=InnoDB",
    // What each lane added to the letters, less what it took away: their sum over the lanes counts.
    "ALTER TABLE laterna.checkpoint ADD COLUMN letters BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE laterna.checkpoint ADD COLUMN letter_bytes BIGINT NOT NULL DEFAULT 0",
    // What is to be asked for no more than once, e.g. a replay after a deployment.
    "ALTER TABLE laterna.command ADD COLUMN once VARCHAR(100) CHARACTER SET ascii NULL",
    "ALTER TABLE laterna.command ADD UNIQUE KEY by_once (projection, once)",
    // Why a projection takes no events: an operator paused it (`paused`), or its breaker (`breaker-open`), which stays
    // here when it was resumed, so that the same component does not trip it again.
    "CREATE TABLE IF NOT EXISTS laterna.pause (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        class VARCHAR(32) CHARACTER SET ascii NOT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL DEFAULT '',
        reason TEXT NOT NULL,
        paused_by VARCHAR(255) NOT NULL,
        paused_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        resumed_by VARCHAR(255) NULL,
        resumed_at TIMESTAMP(6) NULL,
        PRIMARY KEY (projection, class)
    ) ENGINE=InnoDB",
];

/// Version 1.
const TABLES: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS laterna.version (
        version INT UNSIGNED NOT NULL PRIMARY KEY,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB",
    // What is projected: which source, which tables are live.
    "CREATE TABLE IF NOT EXISTS laterna.projection (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL PRIMARY KEY,
        live_generation INT UNSIGNED NOT NULL,
        lanes INT UNSIGNED NOT NULL,
        source TEXT NOT NULL,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB",
    // Who writes.
    "CREATE TABLE IF NOT EXISTS laterna.lease (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL PRIMARY KEY,
        epoch BIGINT UNSIGNED NOT NULL,
        owner VARCHAR(255) NOT NULL,
        connection_id BIGINT UNSIGNED NOT NULL,
        expires_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    ) ENGINE=InnoDB",
    // How far each lane has come.
    "CREATE TABLE IF NOT EXISTS laterna.checkpoint (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        generation INT UNSIGNED NOT NULL,
        lane INT UNSIGNED NOT NULL,
        epoch BIGINT UNSIGNED NOT NULL,
        batch BIGINT UNSIGNED NOT NULL,
        open_batch BIGINT UNSIGNED NULL,
        position MEDIUMTEXT NOT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        events BIGINT UNSIGNED NOT NULL DEFAULT 0,
        parked BIGINT UNSIGNED NOT NULL DEFAULT 0,
        connection_id BIGINT UNSIGNED NULL,
        updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        PRIMARY KEY (projection, generation, lane)
    ) ENGINE=InnoDB",
    // Which events were applied lately: one row per batch, the ids' keys each behind its length (two bytes).
    "CREATE TABLE IF NOT EXISTS laterna.dedupe (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        generation INT UNSIGNED NOT NULL,
        lane INT UNSIGNED NOT NULL,
        events INT UNSIGNED NOT NULL,
        event_ids MEDIUMBLOB NOT NULL,
        committed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY by_projection (projection, generation, id)
    ) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS laterna.dead_letter (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        generation INT UNSIGNED NOT NULL,
        state ENUM('parked', 'held') NOT NULL,
        document_key BINARY(16) NOT NULL,
        aggregate_key VARBINARY(700) NULL,
        aggregate VARCHAR(700) NULL,
        event_id VARCHAR(512) NULL,
        event_type VARCHAR(128) NULL,
        document LONGBLOB NOT NULL,
        position MEDIUMTEXT NOT NULL,
        class VARCHAR(32) NULL,
        reason TEXT NULL,
        digest CHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        operations MEDIUMTEXT NULL,
        attempts INT UNSIGNED NOT NULL,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        UNIQUE KEY by_document (projection, generation, document_key),
        KEY by_aggregate (projection, generation, aggregate_key, id)
    ) ENGINE=InnoDB",
    // What an operator discarded: later replays of history skip it.
    "CREATE TABLE IF NOT EXISTS laterna.discarded (
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        document_key BINARY(16) NOT NULL,
        event_id VARCHAR(512) NULL,
        discarded_by VARCHAR(255) NOT NULL,
        reason TEXT NOT NULL,
        discarded_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (projection, document_key)
    ) ENGINE=InnoDB",
    // What operators want, until it is done and afterwards.
    "CREATE TABLE IF NOT EXISTS laterna.command (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        projection VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
        request TEXT NOT NULL,
        state ENUM('pending', 'done', 'failed') NOT NULL DEFAULT 'pending',
        result MEDIUMTEXT NULL,
        requested_by VARCHAR(255) NOT NULL,
        requested_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        finished_at TIMESTAMP(6) NULL,
        KEY by_state (projection, state, id)
    ) ENGINE=InnoDB",
];
