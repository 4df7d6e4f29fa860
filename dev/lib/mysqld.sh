# shellcheck shell=bash
# MySQL and MariaDB from Debian's packages, each in a root of its own. Both are durable: they keep what they confirmed.
# It must not know which servers run; it says how one is initialised and started.

# install_mysqld mysql|mariadb
install_mysqld() {
    case $1 in
        mysql) install_world mysql unstable mysql-server-core ;;
        mariadb) install_world mariadb bookworm mariadb-server-core ;;
    esac
}

# available_flavor mysql|mariadb installs that, or MariaDB where Debian unstable cannot be had, and prints which.
available_flavor() {
    if install_mysqld "$1"; then
        echo "$1"
    elif [[ $1 == mysql ]]; then
        say "MySQL cannot be had from Debian unstable; MariaDB takes its place."
        available_flavor mariadb
    else
        fail "MariaDB cannot be had from Debian's packages"
    fi
}

# mysqld_command FLAVOR DATADIR PORT SOCKET ARGUMENTS... sets the array `server_command`, and `server_mark`, the
# argument by which the process is known. Initialises the folder when it is empty.
mysqld_command() {
    local flavor=$1 data=$2 port=$3 socket=$4
    shift 4
    initialise_data "$flavor" "$data"
    server_mark=--datadir=$data
    clear_socket "$socket"
    # A folder of its own: a server that starts removes what others left there, also while they need it.
    mkdir -p "$data.tmp"
    mysqld_program "$flavor"
    server_command+=("$server_mark" --port="$port" --bind-address=127.0.0.1 --socket="$socket"
        --pid-file="$data/server.pid" --tmpdir="$data.tmp" --server-id=1 --log-bin="$data/binlog" --sync-binlog=1
        --innodb-flush-log-at-trx-commit=1 --binlog-expire-logs-seconds=3600)
    if [[ $flavor == mysql ]]; then server_command+=(--mysqlx=OFF); fi
    server_command+=("$@")
}

# busy_server_options FLAVOR sets the array `busy`: room in memory and in the log for many tests at a time.
busy_server_options() {
    busy=(--innodb-buffer-pool-size=512M)
    if [[ $1 == mysql ]]; then busy+=(--innodb-redo-log-capacity=1G); fi
}

# A server that was killed leaves a lock beside its socket, and the next one believes it as long as any process has that
# number.
clear_socket() {
    if [[ -f $1.lock ]] && ! is_running "$(<"$1.lock")" "$server_mark"; then rm -f "$1" "$1.lock"; fi
}

# Sets `server_command` to the program with what it needs to find its own files.
mysqld_program() {
    local flavor=$1 usr=$software_dir/$1/usr in_world
    case $flavor in
        mysql) in_world mysql usr/sbin/mysqld ;;
        mariadb) in_world mariadb usr/sbin/mariadbd ;;
    esac
    server_command=("${in_world[@]}" --no-defaults --basedir="$usr" --lc-messages-dir="$usr/share/mysql"
        --plugin-dir="$usr/lib/mysql/plugin" --secure-file-priv=)
    if ((EUID == 0)); then server_command+=(--user=root); fi
}

# Initialising takes MySQL many seconds, so it is done once, and copied.
initialise_data() {
    local flavor=$1 data=$2 pristine=$software_dir/$1-data
    if [[ -n $(ls -A "$data" 2>/dev/null) ]]; then return; fi
    [[ -d $pristine ]] || with_lock software make_pristine "$flavor" "$pristine"
    mkdir -p "$data"
    cp -a "$pristine/." "$data/"
}

make_pristine() {
    local flavor=$1 pristine=$2 server_command
    [[ ! -d $pristine ]] || return 0
    rm -rf "$pristine.new"
    mkdir -p "$pristine.new"
    mysqld_program "$flavor"
    server_command+=(--datadir="$pristine.new" --log-error="$pristine.log" --skip-log-bin)
    say "Initialising the system tables of $flavor ..."
    case $flavor in
        mysql) "${server_command[@]}" --mysqlx=OFF --initialize-insecure ;;
        mariadb) mariadb_system_tables | "${server_command[@]}" --bootstrap --log-warnings=0 --enforce-storage-engine= \
            --max-allowed-packet=8M --net-buffer-length=16K ;;
    esac >&2 || fail "initialising $flavor failed; see $pristine.log"
    # Every server has an identity of its own.
    rm -f "$pristine.new/auto.cnf"
    mv "$pristine.new" "$pristine"
}

# What mariadb-install-db would send with --auth-root-authentication-method=normal --skip-test-db.
mariadb_system_tables() {
    local share=$software_dir/mariadb/usr/share/mysql
    printf "%s;\n" "CREATE DATABASE IF NOT EXISTS mysql" "USE mysql" "SET @auth_root_socket = NULL"
    cat "$share"/mysql_{system_tables,performance_tables,system_tables_data}.sql \
        "$share"/{maria_add_gis_sp_bootstrap,mysql_sys_schema}.sql
}

# greeting_version PORT prints the version that a server introduces itself with; fails while it takes no connections.
greeting_version() {
    local greeting
    # shellcheck disable=SC2016
    greeting=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && head -c 64 <&3 | od -An -v -tx1' "$1" \
        2>/dev/null | tr -d ' \n')
    # Three bytes of length, one of order, then protocol 10 and the version up to a zero byte.
    [[ ${greeting:8:2} == 0a ]] || return 1
    # MariaDB calls itself 5.5.5-10.x for the sake of old clients.
    IFS= read -r -d '' greeting < <(bytes_of "${greeting:10}")
    printf '%s\n' "${greeting#5.5.5-}"
}
