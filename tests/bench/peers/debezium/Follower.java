import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * The table `balances` by Debezium's embedded engine and Connector/J: up to 500 events a transaction, their rows in one statement.
 *
 * <p>Its place in the stream is in a file, which is written now and then, so that events may come twice after a crash; and its
 * snapshot has no order within an account: the newer row stays.
 */
public final class Follower implements DebeziumEngine.ChangeConsumer<ChangeEvent<SourceRecord, SourceRecord>> {
    private static final int EVENTS_MAX = 500;
    private static final String NUMBERED = "IF(VALUES(last_sequence) >= last_sequence, VALUES(%1$s), %1$s)";

    private final ObjectMapper json = new ObjectMapper();
    private final Connection connection;
    private final PreparedStatement upsert;
    private final PreparedStatement count;

    private Follower(String url) throws SQLException {
        connection = DriverManager.getConnection(url);
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.execute(
                "CREATE TABLE IF NOT EXISTS balances (account_id VARCHAR(64) NOT NULL PRIMARY KEY, last_event VARCHAR(64) NOT NULL,"
                    + " amount_cents BIGINT NOT NULL, balance_cents BIGINT NOT NULL, last_sequence BIGINT NOT NULL,"
                    + " updated_at DATETIME(3) NOT NULL)");
            statement.execute(
                "CREATE TABLE IF NOT EXISTS checkpoint (id INT NOT NULL PRIMARY KEY, events BIGINT NOT NULL, position TEXT NOT NULL,"
                    + " commits BIGINT NOT NULL)");
            statement.execute("INSERT IGNORE INTO checkpoint VALUES (0, 0, '', 0)");
        }
        StringBuilder changes = new StringBuilder();
        for (String column : List.of("last_event", "amount_cents", "balance_cents", "updated_at")) {
            changes.append(column).append(" = ").append(String.format(NUMBERED, column)).append(", ");
        }
        upsert = connection.prepareStatement(
            "INSERT INTO balances (account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at)"
                + " VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE " + changes
                + "last_sequence = GREATEST(VALUES(last_sequence), last_sequence)");
        count = connection.prepareStatement("UPDATE checkpoint SET events = events + ?, commits = commits + 1, position = 'in the file of offsets'");
    }

    public static void main(String[] arguments) throws SQLException {
        String database = arguments[2];
        Properties settings = new Properties();
        settings.putAll(Map.of(
            "name", "bench", "topic.prefix", "bench",
            "connector.class", "io.debezium.connector.mongodb.MongoDbConnector",
            "mongodb.connection.string", arguments[0],
            "database.include.list", database, "collection.include.list", database + ".outbox",
            "capture.mode", "change_streams", "snapshot.mode", "initial",
            "skipped.operations", "u,d,t", "tombstones.on.delete", "false"));
        settings.putAll(Map.of(
            "max.batch.size", "8192", "max.queue.size", "32768", "poll.interval.ms", "20",
            "cursor.max.await.time.ms", "100", "snapshot.fetch.size", "8192",
            "offset.storage", "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename", arguments[3], "offset.flush.interval.ms", "1000"));
        DebeziumEngine.create(Connect.class)
            .using(settings)
            .notifying(new Follower(arguments[1]))
            .using((isDone, message, error) -> {
                System.err.println("ended: " + message + (error == null ? "" : ", " + error));
                Runtime.getRuntime().halt(1);
            })
            .build()
            .run();
    }

    @Override
    public void handleBatch(
            List<ChangeEvent<SourceRecord, SourceRecord>> records,
            DebeziumEngine.RecordCommitter<ChangeEvent<SourceRecord, SourceRecord>> committer)
            throws InterruptedException {
        try {
            int events = 0;
            int rows = 0;
            for (ChangeEvent<SourceRecord, SourceRecord> record : records) {
                String document = after(record.value());
                if (document == null) {
                    continue;
                }
                events++;
                rows += add(json.readTree(document)) ? 1 : 0;
                if (events == EVENTS_MAX) {
                    commit(events, rows);
                    events = 0;
                    rows = 0;
                }
            }
            if (events > 0) {
                commit(events, rows);
            }
            for (ChangeEvent<SourceRecord, SourceRecord> record : records) {
                committer.markProcessed(record);
            }
            committer.markBatchFinished();
        } catch (SQLException | java.io.IOException error) {
            error.printStackTrace();
            Runtime.getRuntime().halt(2);
        }
    }

    /** The inserted document as Extended JSON; nothing for other records. */
    private static String after(SourceRecord record) {
        boolean isChange = record != null && record.value() instanceof Struct;
        if (!isChange || ((Struct) record.value()).schema().field("after") == null) {
            return null;
        }
        return ((Struct) record.value()).getString("after");
    }

    /** Adds the event's row to the statement, if it makes one. */
    private boolean add(JsonNode event) throws SQLException {
        String type = event.get("type").asText();
        if (type.equals("AccountRenamed") || type.equals("AccountClosed")) {
            return false;
        }
        JsonNode payload = event.get("payload");
        upsert.setString(1, event.get("aggregateId").asText());
        upsert.setString(2, type);
        upsert.setLong(3, number(payload.get("amountCents")));
        upsert.setLong(4, number(payload.get("balanceCents")));
        upsert.setLong(5, number(event.get("sequence")));
        Instant time = Instant.ofEpochMilli(number(event.get("occurredAt")));
        upsert.setObject(6, LocalDateTime.ofInstant(time, ZoneOffset.UTC));
        upsert.addBatch();
        return true;
    }

    /** 3, {"$numberLong": "3"}, {"$date": 3} or {"$date": {"$numberLong": "3"}}; 0 where there is none. */
    private static long number(JsonNode node) {
        if (node == null) {
            return 0;
        }
        return node.isObject() ? number(node.elements().next()) : node.asLong();
    }

    private void commit(int events, int rows) throws SQLException {
        if (rows > 0) {
            upsert.executeBatch();
        }
        count.setInt(1, events);
        count.executeUpdate();
        connection.commit();
    }
}
