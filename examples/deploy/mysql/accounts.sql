-- For an administrator of MySQL or MariaDB. It holds the passwords of the configuration, and may be run again.
CREATE DATABASE IF NOT EXISTS `bank` CHARACTER SET utf8mb4;

-- This account changes rows and no more. It is the one that works all the time.
CREATE USER IF NOT EXISTS 'laterna_app'@'%' IDENTIFIED BY 'change-this-1';
ALTER USER 'laterna_app'@'%' IDENTIFIED BY 'change-this-1';
GRANT SELECT, INSERT, UPDATE, DELETE ON `bank`.* TO 'laterna_app'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON `laterna`.* TO 'laterna_app'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON `laterna\_g%`.* TO 'laterna_app'@'%';

-- This one makes tables: those that projectors declare, and the host's own.
CREATE USER IF NOT EXISTS 'laterna_ddl'@'%' IDENTIFIED BY 'change-this-2';
ALTER USER 'laterna_ddl'@'%' IDENTIFIED BY 'change-this-2';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER ON `bank`.* TO 'laterna_ddl'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `laterna`.* TO 'laterna_ddl'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `laterna\_scratch`.* TO 'laterna_ddl'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `laterna\_g%`.* TO 'laterna_ddl'@'%';
