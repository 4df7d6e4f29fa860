# shellcheck shell=bash
# Where the development services live, what is remembered about them, and how their scripts speak.
# It must not start, stop or download anything.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
services_dir=${LATERNA_SERVICES_DIR:-$repository/.services}
mkdir -p "$services_dir"
services_dir=$(cd "$services_dir" && pwd)
software_dir=$services_dir/software

# Results go to standard output, everything said on the way to standard error.
say() { printf '%s\n' "$*" >&2; }

fail() {
    say "dev/${0##*/}: $*"
    exit 1
}

# remember SERVICE KEY VALUE; a rename, so that nobody reads half a value.
remember() {
    local file=$services_dir/$1/$2
    mkdir -p "${file%/*}"
    printf '%s\n' "$3" >"$file.new"
    mv "$file.new" "$file"
}

# recall SERVICE KEY prints what was remembered, or nothing.
recall() {
    local file=$services_dir/$1/$2
    if [[ -f $file ]]; then cat "$file"; fi
}

forget() { rm -f "$services_dir/$1/$2"; }

# with_lock NAME COMMAND...: one at a time among all calls for this folder. The lock ends with the subshell; servers
# close the descriptor before they start.
with_lock() {
    local lock=$services_dir/$1.lock
    shift
    (
        exec 9>"$lock"
        if ! flock --nonblock 9; then
            say "Waiting for another dev/services to finish with ${lock##*/} ..."
            flock 9
        fi
        "$@"
    )
}

# socket_of NAME prints a place for a Unix socket; its path has to stay below 108 bytes, whatever the folder is called.
socket_of() {
    local place=$services_dir/$1/mysqld.sock
    if ((${#place} > 100)); then
        place=$(mktemp -d "${TMPDIR:-/tmp}/laterna.XXXXXX")/mysqld.sock
        ((${#place} <= 100)) || fail "no place for a Unix socket: set TMPDIR to a shorter folder than ${TMPDIR:-/tmp}"
    fi
    printf '%s\n' "$place"
}
