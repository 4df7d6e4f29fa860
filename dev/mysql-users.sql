-- The databases and the two accounts that Laterna works with: one changes rows, the other changes tables.
-- It must not create tables: those belong to Laterna. Run it as root, as often as you like:
--   SET @app_password = '…', @ddl_password = '…';  SOURCE dev/mysql-users.sql
-- Without those variables the passwords are `development`.

CREATE DATABASE IF NOT EXISTS bank CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS laterna CHARACTER SET utf8mb4;

-- Locked until they have a password.
CREATE USER IF NOT EXISTS laterna_app, laterna_ddl ACCOUNT LOCK;

SET @statement = CONCAT('ALTER USER laterna_app IDENTIFIED BY ', QUOTE(COALESCE(@app_password, 'development')), ' ACCOUNT UNLOCK');
PREPARE alter_user FROM @statement;
EXECUTE alter_user;
SET @statement = CONCAT('ALTER USER laterna_ddl IDENTIFIED BY ', QUOTE(COALESCE(@ddl_password, 'development')), ' ACCOUNT UNLOCK');
PREPARE alter_user FROM @statement;
EXECUTE alter_user;
DEALLOCATE PREPARE alter_user;

GRANT SELECT, INSERT, UPDATE, DELETE ON bank.* TO laterna_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON laterna.* TO laterna_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON `laterna\_g%`.* TO laterna_app;

GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON bank.* TO laterna_ddl;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON laterna.* TO laterna_ddl;
-- Where `laterna check` and a first start try a projector's tables and statements.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON laterna_scratch.* TO laterna_ddl;
-- Where tables are built and kept beside the live ones.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `laterna\_g%`.* TO laterna_ddl;
