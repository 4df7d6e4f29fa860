# shellcheck shell=bash
# Command-line clients for whoever has none: MySQL's or MariaDB's from Debian's packages, and a stand-in for mongoimport.
# It must not start or change a server.

# exec_mysql PROGRAM ARGUMENT...: the client of the service `mysql`, or its mysqldump, which asks that service unless the
# arguments name another server.
exec_mysql() {
    local program=$1 flavor address=()
    shift
    flavor=$(recall mysql flavor)
    flavor=${flavor:-mysql}
    if [[ -n $(recall mysql port) ]]; then address=(--host=127.0.0.1 --port="$(recall mysql port)" --user=root); fi
    case $flavor in
        mariadb)
            [[ $program == mysql ]] || fail "only MySQL's package has $program"
            install_world mariadb-client bookworm mariadb-client-core || fail "MariaDB's client cannot be had"
            in_world mariadb-client usr/bin/mariadb
            ;;
        *)
            install_world mysql-client unstable mysql-client-core || fail "MySQL's client cannot be had"
            in_world mysql-client "usr/bin/$program"
            ;;
    esac
    exec "${in_world[@]}" --no-defaults "${address[@]}" "$@"
}

# exec_mongoimport --uri URI --collection COLLECTION FILE: inserts the documents of a file, one in each line.
exec_mongoimport() {
    local python python_packages
    need_python_packages outbox-python "$library/../../examples/outbox/python" "MongoDB's driver from PyPI: 1 MB"
    exec env "PYTHONPATH=$python_packages" "${python[@]}" "$library/mongoimport.py" "$@"
}
