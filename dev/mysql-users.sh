# shellcheck shell=bash
# Gives mysql-users.sql its passwords, when MySQL's image initialises an empty data folder. That image's entry point
# reads this file into itself; it must not be executable, nor used anywhere else.
docker_process_sql < <(
    quoted() { printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g"; }
    printf "SET @app_password = '%s', @ddl_password = '%s';\n" \
        "$(quoted "${MYSQL_APP_PASSWORD:-development}")" "$(quoted "${MYSQL_DDL_PASSWORD:-development}")"
    cat /etc/laterna/mysql-users.sql
)
