# shellcheck shell=bash
# Programs from public package registries, unpacked below the services' folder.
# It must not install anything on the system, nor read or write the state of its package manager; only the addresses
# of its mirrors and its network settings are taken over.

# fetch URL FILE
fetch() {
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --quiet --tries=3 --output-document="$2" "$1"
    else
        fail "neither curl nor wget is here to fetch $1"
    fi
}

# fetch_pinned URL FILE SHA256
fetch_pinned() {
    fetch "$1" "$2" || return 1
    printf '%s  %s\n' "$3" "$2" | sha256sum --check --status && return
    rm -f "$2"
    fail "$1 is not the file it was: its SHA-256 is not $3"
}

# unpack_member ARCHIVE MEMBER FILE: one file out of a zip archive. Whoever calls it holds the lock on the software.
unpack_member() {
    if command -v python3 >/dev/null; then
        python3 -c 'import shutil, sys, zipfile
shutil.copyfileobj(zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]), sys.stdout.buffer)' "$1" "$2" >"$3"
    elif command -v unzip >/dev/null; then
        unzip -p "$1" "$2" >"$3"
    else
        unpack_world unzip bookworm unzip || fail "there is nothing here to unpack a zip archive with"
        in_world unzip usr/bin/unzip
        "${in_world[@]}" -p "$1" "$2" >"$3"
    fi
}

# unpack_archive ARCHIVE FOLDER: all of a zip archive; under the same lock.
unpack_archive() {
    if command -v python3 >/dev/null; then
        python3 -m zipfile -e "$1" "$2"
    elif command -v unzip >/dev/null; then
        unzip -q "$1" -d "$2"
    else
        unpack_world unzip bookworm unzip || fail "there is nothing here to unpack a zip archive with"
        in_world unzip usr/bin/unzip
        "${in_world[@]}" -q "$1" -d "$2"
    fi
}

# install_world NAME SUITE PACKAGE...: Debian packages with everything they need, libc included, as a root of their own.
install_world() {
    [[ -d $software_dir/$1 ]] || with_lock software unpack_world "$@"
}

unpack_world() {
    local root=$software_dir/$1 suite=$2 work=$software_dir/$1.new deb
    shift 2
    [[ ! -d $root ]] || return 0
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        say "apt-get and dpkg-deb are not here, so Debian's packages cannot be had."
        return 1
    fi
    rm -rf "$work"
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/root"
    write_apt_settings "$work/apt" "$suite" || return 1
    export APT_CONFIG=$work/apt/apt.conf
    say "Reading the package lists of Debian $suite ..."
    apt-get --quiet=2 update >&2 || return 1
    apt-get --quiet=2 --print-uris install "$@" >"$work/uris" || return 1
    say "Downloading $* and what it needs: $(summary_of "$work/uris") ..."
    apt-get --quiet=2 --download-only install "$@" >&2 || return 1
    for deb in "$work"/apt/archives/*.deb; do
        dpkg-deb --extract "$deb" "$work/root" || return 1
    done
    rm -rf "$work"/root/usr/share/{doc,man,info,locale,lintian}
    mv "$work/root" "$root"
    rm -rf "$work"
}

summary_of() {
    awk '{ bytes += $3 } END { printf "%d packages, %.0f MB", NR, bytes / 1e6 }' "$1"
}

# The system's own settings are left out, apart from how to reach the network: its hooks would tidy its caches.
write_apt_settings() {
    local place=$1 suite=$2 keyring mirror
    for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg} ''; do
        if [[ -f $keyring ]]; then break; fi
    done
    [[ -n $keyring ]] || { say "Debian's keys are not here: install debian-archive-keyring."; return 1; }
    mirror=$(debian_mirror)
    : >"$place/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$place/sources.list"
    {
        apt-config dump Acquire
        cat <<CONF
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$place/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$place";
Dir::State::lists "$place/lists";
Dir::State::status "$place/status";
Dir::Cache "$place";
Dir::Cache::archives "$place/archives";
Dir::Log "$place";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "";
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
    } >"$place/apt.conf"
}

debian_mirror() {
    local mirror
    # shellcheck disable=SC2016
    mirror=${LATERNA_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep --max-count=1 --extended-regexp '/debian/?$' || true)}
    printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

# in_world NAME PROGRAM sets the array `in_world` to the start of a command that runs PROGRAM with its own libraries.
in_world() {
    local root=$software_dir/$1 folder file loader='' libraries=''
    for folder in "$root"/{,usr/}lib/*-linux-gnu; do
        [[ -d $folder ]] || continue
        libraries+=${libraries:+:}$folder
        for file in "$folder"/ld-linux*.so.*; do
            if [[ -x $file ]]; then loader=$file; fi
        done
    done
    [[ -n $loader ]] || fail "$root is damaged: delete it and try again"
    in_world=("$loader" --library-path "$libraries" "$root/$2")
}

# print_faketime: libfaketime.so, for LD_PRELOAD. It needs nothing but libc, so the system's own programs can load it.
print_faketime() {
    local file
    install_world faketime bookworm libfaketime || fail "libfaketime cannot be had from Debian's packages"
    for file in "$software_dir"/faketime/usr/lib/*/faketime/libfaketime.so.1; do
        printf '%s\n' "$file"
    done
}

# exec_promtool ARGUMENT...: the tool of Prometheus that checks and tries alerts, in the folder where it was called.
exec_promtool() {
    install_world prometheus bookworm prometheus || fail "promtool cannot be had from Debian's packages"
    in_world prometheus usr/bin/promtool
    exec "${in_world[@]}" "$@"
}
