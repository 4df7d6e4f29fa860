-- An account that reads the read model and asks whether an event is in it (docs/reading-your-writes.md), and sees nothing that dead
-- letters hold. For an administrator of MySQL or MariaDB, once a host has run: the tables have to be there.
CREATE USER IF NOT EXISTS 'bank_reader'@'%' IDENTIFIED BY 'change-this-3';
GRANT SELECT ON `bank`.* TO 'bank_reader'@'%';
GRANT SELECT ON `laterna`.`dedupe` TO 'bank_reader'@'%';
GRANT SELECT ON `laterna`.`checkpoint` TO 'bank_reader'@'%';
GRANT SELECT (id, projection, generation, event_key, state) ON `laterna`.`dead_letter` TO 'bank_reader'@'%';
