# shellcheck shell=bash
# The three services: brought up by the first way that works (yours, Docker, packages), found again, stopped, told about.
# It must not know how a server is installed or what its arguments are.

services=(mongodb mysql mariadb)
declare -A given_by=([mongodb]=LATERNA_MONGODB_URI [mysql]=LATERNA_MYSQL_ADMIN_URL [mariadb]=LATERNA_MARIADB_ADMIN_URL)

up_services() {
    local service
    (($#)) || set -- mongodb mysql
    for service; do check_name "$service"; done
    for service; do up_service "$service"; done
}

check_name() {
    [[ -n $1 && -n ${given_by[$1]:-} ]] || fail "there is no service \`$1\`, only: ${services[*]}"
}

each_service() {
    local service
    for service in "${services[@]}"; do "$1" "$service"; done
}

up_service() {
    local service=$1
    if is_given "$service"; then
        check_given "$service"
        show_service "$service"
        return
    fi
    if [[ -z $(recall "$service" way) ]]; then choose_way "$service"; fi
    if ! is_up "$service"; then
        settle "$service"
        say "Starting $service ..."
        "start_by_$(recall "$service" way)" "$service"
    fi
    wait_until_ready "$service"
    show_service "$service"
}

# An address in the environment is the developer's own, unless it is what `env` printed.
is_given() {
    local address=${!given_by[$1]:-}
    [[ -n $address && $address != "$(own_address "$1")" ]]
}

# Somebody has to listen there. Addresses that name no port are taken on trust.
check_given() {
    local variable=${given_by[$1]} address place
    address=${!variable}
    if [[ $address =~ [?\&]socket=([^\&]+) ]]; then
        [[ -S ${BASH_REMATCH[1]} ]] || fail "$variable names a socket that does not exist: correct it, or unset it"
    elif [[ $address =~ ://([^/?]*@)?([^/?,:@]+):([0-9]+) ]]; then
        place=${BASH_REMATCH[2]}:${BASH_REMATCH[3]}
        answers "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" ||
            fail "$variable names $place, where nobody answers: correct it, or unset it"
    fi
}

own_address() {
    local port socket
    port=$(recall "$1" port)
    socket=$(recall "$1" socket)
    if [[ -z $port ]]; then return; fi
    case $1 in
        mongodb) printf 'mongodb://127.0.0.1:%s/?replicaSet=rs0&directConnection=true\n' "$port" ;;
        *) if [[ -n $socket ]]; then
            printf 'mysql://root@localhost/mysql?socket=%s\n' "$socket"
        else
            printf 'mysql://root@127.0.0.1:%s/mysql\n' "$port"
        fi ;;
    esac
}

choose_way() {
    local service=$1 way=${LATERNA_SERVICES_WAY:-}
    case $way in
        docker | packages) ;;
        '') if docker_can "$service"; then way=docker; else way=packages; fi ;;
        *) fail "LATERNA_SERVICES_WAY is \`docker\` or \`packages\`, not \`$way\`" ;;
    esac
    "prepare_by_$way" "$service"
    [[ -n $(recall "$service" port) ]] || remember "$service" port "$(free_port)"
    remember "$service" way "$way"
}

# What was killed a moment ago has to let go first. The port stays the same, because the replica set and everybody's
# settings name it.
settle() {
    local port pid
    pid=$(recall "$1" pid)
    [[ -z $pid ]] || await_end "$pid" "$(recall "$1" mark)" 100 || fail "$1 (process $pid) does not end"
    port=$(recall "$1" port)
    if answers 127.0.0.1 "$port"; then
        fail "port $port, where $1 was, is in use by something else: free it, or start afresh with \`wipe\`"
    fi
}

prepare_by_packages() {
    local service=$1 flavor socket
    if [[ $service == mongodb ]]; then
        install_mongod
        return
    fi
    flavor=$(available_flavor "$service")
    socket=$(socket_of "$service")
    remember "$service" flavor "$flavor"
    remember "$service" socket "$socket"
}

start_by_packages() {
    local service=$1 place=$services_dir/$1 port socket server_command server_mark busy
    port=$(recall "$service" port)
    if [[ $service == mongodb ]]; then
        install_mongod
        mongod_command "$place/data" "$port"
    else
        socket=$(recall "$service" socket)
        # The folder for temporary files may have been emptied since.
        mkdir -p "${socket%/*}"
        install_mysqld "$(recall "$service" flavor)" || fail "$service cannot be installed again"
        busy_server_options "$(recall "$service" flavor)"
        mysqld_command "$(recall "$service" flavor)" "$place/data" "$port" "$socket" --log-error="$place/server.log" "${busy[@]}"
    fi
    remember "$service" mark "$server_mark"
    start_detached "$place/pid" "$server_mark" "$place/server.log" "${server_command[@]}"
}

stop_by_packages() {
    stop_process "$(recall "$1" pid)" "$(recall "$1" mark)" "$2"
    forget "$1" pid
}

is_up() {
    case $(recall "$1" way) in
        packages) is_running "$(recall "$1" pid)" "$(recall "$1" mark)" ;;
        docker) docker_is_up "$1" ;;
        *) return 1 ;;
    esac
}

wait_until_ready() {
    local service=$1 port tenths
    port=$(recall "$service" port)
    for ((tenths = 0; tenths < 1200; tenths++)); do
        if version_at "$service" "$port" >/dev/null; then
            [[ $service != mongodb ]] || initiate_replica_set "$port"
            return
        fi
        is_up "$service" || fail "$service ended while it was starting: $(last_words "$service")"
        sleep 0.1
    done
    fail "$service does not answer after two minutes: $(last_words "$service")"
}

version_at() {
    if [[ $1 == mongodb ]]; then mongo_version "$2"; else greeting_version "$2"; fi
}

last_words() { "last_words_by_$(recall "$1" way)" "$1"; }

last_words_by_packages() {
    printf '%s says\n' "$services_dir/$1/server.log"
    tail -n 15 "$services_dir/$1/server.log"
}

show_service() {
    local service=$1 port where version variable=${given_by[$1]}
    if is_given "$service"; then
        printf '%-8s yours, from %s\n' "$service" "$variable"
    elif is_up "$service"; then
        port=$(recall "$service" port)
        where="process $(recall "$service" pid)"
        if [[ $(recall "$service" way) == docker ]]; then where="in Docker"; fi
        version=$(version_at "$service" "$port" || true)
        printf '%-8s %s at 127.0.0.1:%s, %s\n' "$service" "${version:-not answering yet}" "$port" \
            "$where"
    elif [[ -n $(recall "$service" way) ]]; then
        printf '%-8s stopped\n' "$service"
    else
        printf '%-8s never started\n' "$service"
    fi
}

export_service() {
    local service=$1 name=${1^^} key value
    if is_given "$service"; then
        printf 'export %s=%q\n' "${given_by[$service]}" "${!given_by[$service]}"
    elif is_up "$service"; then
        printf 'export %s=%q\n' "${given_by[$service]}" "$(own_address "$service")"
        for key in port socket flavor; do
            value=$(recall "$service" "$key")
            [[ -z $value ]] || printf 'export LATERNA_%s_%s=%q\n' "$name" "${key^^}" "$value"
        done
    fi
    if [[ $service == mongodb && -x $mongod_bin ]]; then printf 'export LATERNA_MONGOD_BIN=%q\n' "$mongod_bin"; fi
}

down_services() {
    local service
    (($#)) || set -- "${services[@]}"
    for service; do check_name "$service"; done
    for service; do stop_service "$service"; done
}

stop_service() {
    if is_up "$1"; then
        say "Stopping $1 ..."
        "stop_by_$(recall "$1" way)" "$1" TERM
    fi
}

restart_service() {
    local service=${1:-} signal=TERM
    check_name "$service"
    case ${2:-} in
        '') ;;
        --kill) signal=KILL ;;
        *) usage ;;
    esac
    if is_given "$service"; then fail "$service is yours (${given_by[$service]}), so it is not restarted here"; fi
    if is_up "$service"; then "stop_by_$(recall "$service" way)" "$service" "$signal"; fi
    up_service "$service"
}

wipe_services() {
    local service socket
    each_service stop_service
    if grep -qsx docker "$services_dir"/*/way; then wipe_docker; fi
    for service in "${services[@]}"; do
        socket=$(recall "$service" socket)
        if [[ $socket == */laterna.??????/mysqld.sock ]]; then rm -rf "${socket%/*}"; fi
        rm -rf "${services_dir:?}/$service"
    done
}
