# shellcheck shell=bash
# A Docker engine for a test, where none answers, and the base image, where it cannot be pulled.
# It must not change the network of the machine, nor an engine that was there before.

base_image=debian:bookworm-slim
engine_pid=''
engine_mark=''
engine_folder=''
base_is_ours=''

# need_engine FOLDER
need_engine() {
    local socket=$1/docker.sock tenths
    if docker info >/dev/null 2>&1; then return 0; fi
    ((EUID == 0)) || fail "no Docker engine answers, and only root can start one"
    command -v dockerd >/dev/null || install_engine
    engine_folder=$1
    engine_mark=--data-root=$1/docker
    # Containers use the host's network here, so the engine needs none of its own.
    start_detached "$1/docker.started" "$engine_mark" "$1/docker.log" dockerd "$engine_mark" --exec-root="$1/exec" \
        --host="unix://$socket" --pidfile="$1/docker.pid" --bridge=none --iptables=false --ip6tables=false
    engine_pid=$(<"$1/docker.started")
    export DOCKER_HOST=unix://$socket
    for ((tenths = 0; tenths < 600; tenths++)); do
        if docker info >/dev/null 2>&1; then return 0; fi
        is_running "$engine_pid" "$engine_mark" || fail "dockerd ended: $(tail -n 5 "$1/docker.log")"
        sleep 0.1
    done
    fail "dockerd does not answer: $(tail -n 5 "$1/docker.log")"
}

install_engine() {
    if [[ ${LATERNA_CONTAINER_TEST_INSTALL:-} != 1 ]]; then
        fail "no Docker engine answers: start one, or let this test install docker.io with LATERNA_CONTAINER_TEST_INSTALL=1"
    fi
    say "Installing docker.io ..."
    install_with_apt docker.io
}

install_with_apt() {
    apt-get --quiet=2 update >&2
    DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --no-install-recommends install "$@" >/dev/null
}

leave_engine() {
    if [[ -n $base_is_ours ]]; then docker rmi --force "$base_image" >/dev/null 2>&1 || true; fi
    if [[ -z $engine_pid ]]; then return 0; fi
    stop_process "$engine_pid" "$engine_mark" TERM
    # It leaves a network namespace mounted.
    awk -v folder="$engine_folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts |
        xargs --no-run-if-empty umount --lazy
}

need_base_image() {
    local archive=$software_dir/debian-bookworm.tar
    if docker image inspect "$base_image" >/dev/null 2>&1; then return 0; fi
    base_is_ours=1
    if timeout 300 docker pull --quiet "$base_image" >/dev/null 2>&1; then return 0; fi
    [[ -f $archive ]] || with_lock software make_base_archive "$archive"
    docker import "$archive" "$base_image" >/dev/null
}

# build_image BINARY IMAGE FOLDER: only the binary is sent to the engine.
build_image() {
    local binary=$1 image=$2 context=$3/context
    say "Building $image from $binary ..."
    mkdir -p "$context/dist"
    cp "$binary" "$context/dist/laterna"
    chmod 0755 "$context/dist/laterna"
    # The newer builder is a plug-in of its own, and may be missing.
    if ! docker buildx version >/dev/null 2>&1; then export DOCKER_BUILDKIT=0; fi
    docker build --quiet --network host --file "$repository/Dockerfile" --target from-binary \
        --build-arg BINARY=dist/laterna --tag "$image" "$context" >/dev/null
}

make_base_archive() {
    local folder
    [[ ! -f $1 ]] || return 0
    ((EUID == 0)) || fail "$base_image cannot be pulled, and only root can make one"
    if ! command -v debootstrap >/dev/null; then
        [[ ${LATERNA_CONTAINER_TEST_INSTALL:-} == 1 ]] ||
            fail "$base_image cannot be pulled: install debootstrap, or set LATERNA_CONTAINER_TEST_INSTALL=1"
        install_with_apt debootstrap
    fi
    say "Making $base_image with debootstrap, which takes a minute ..."
    mkdir -p "${1%/*}"
    folder=$(mktemp -d "${TMPDIR:-/tmp}/laterna-debian.XXXXXX")
    debootstrap --variant=minbase bookworm "$folder" >"$folder.log" 2>&1 || fail "debootstrap failed; see $folder.log"
    tar --directory "$folder" --create --file "$1.new" .
    mv "$1.new" "$1"
    rm -rf "$folder" "$folder.log"
}
