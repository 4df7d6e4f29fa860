# shellcheck shell=bash
# Servers of a test's own: this shell becomes the server, so that whoever started it can kill it by its pid.
# It must not remember them, nor touch those that `up` started.

exec_mongod() {
    local server_command server_mark
    (($# >= 2)) || usage
    install_mongod
    mongod_command "$(absolute "$1")" "${@:2}"
    exec "${server_command[@]}"
}

# exec_mysqld FLAVOR DATADIR PORT SOCKET ARGUMENTS...
exec_mysqld() {
    local flavor=$1 server_command server_mark
    (($# >= 4)) || usage
    # What `up` had to settle for need not be tried again for every server.
    if [[ $(recall mysql flavor) == mariadb ]]; then flavor=mariadb; fi
    flavor=$(available_flavor "$flavor")
    mysqld_command "$flavor" "$(absolute "$2")" "${@:3}"
    exec "${server_command[@]}"
}

absolute() {
    mkdir -p "$1"
    (cd "$1" && pwd)
}
