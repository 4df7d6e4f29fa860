# shellcheck shell=bash
# The same services by Docker Compose, where an engine answers and the images can be had.
# It must not touch containers or volumes of any other project.

compose_file=$repository/dev/compose.services.yaml
# A checkout, or a folder, of its own gets containers of its own.
compose_project=laterna-$(printf '%s' "$services_dir" | cksum | cut -d ' ' -f 1)

docker_can() {
    local service=$1 image
    if ! timeout 20 docker info >/dev/null 2>&1; then
        say "$service: no Docker engine answers, so it comes from packages."
        return 1
    elif ! compose_program >/dev/null; then
        say "$service: Docker Compose is not installed, so it comes from packages."
        return 1
    fi
    image=$(image_of "$service")
    docker image inspect "$image" >/dev/null 2>&1 && return
    say "Pulling the image $image ..."
    if ! timeout 900 docker pull --quiet "$image" >/dev/null 2>&1; then
        say "$service: the image $image cannot be pulled, so it comes from packages."
        return 1
    fi
}

image_of() { sed -n "/^    $1:/,/image:/s/^ *image: //p" "$compose_file"; }

compose_program() {
    if docker compose version >/dev/null 2>&1; then
        echo docker compose
    elif command -v docker-compose >/dev/null; then
        echo docker-compose
    else
        return 1
    fi
}

compose() {
    local program
    program=$(compose_program) || fail "Docker Compose is gone, and it holds the services: bring it back, or \`wipe\`"
    # Every call needs every port, because the file names them all.
    # shellcheck disable=SC2086
    LATERNA_PORT_MONGODB=$(recall mongodb port) LATERNA_PORT_MYSQL=$(recall mysql port) \
        LATERNA_PORT_MARIADB=$(recall mariadb port) \
        $program --project-name "$compose_project" --file "$compose_file" "$@"
}

# It tells every step; only failures are worth it.
compose_quietly() {
    local output
    output=$(compose "$@" 2>&1) || fail "Docker Compose failed at \`$*\`: $output"
}

prepare_by_docker() {
    if [[ $1 != mongodb ]]; then remember "$1" flavor "$1"; fi
}

start_by_docker() { compose_quietly up --detach "$1"; }

# stop_by_docker SERVICE TERM|KILL
stop_by_docker() {
    if [[ $2 == KILL ]]; then compose_quietly kill -s KILL "$1"; else compose_quietly stop --timeout 60 "$1"; fi
}

last_words_by_docker() { compose logs --tail=15 "$1" 2>&1; }

docker_is_up() {
    local container
    container=$(compose ps --quiet "$1" 2>/dev/null) && [[ -n $container ]] &&
        [[ $(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null) == true ]]
}

# Containers, volumes and network of this folder.
wipe_docker() { compose_quietly down --volumes; }
