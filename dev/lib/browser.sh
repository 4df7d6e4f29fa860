# shellcheck shell=bash
# A browser for the tests of the page: Chromium and its driver, unpacked from Debian's packages, and axe-core from npm.
# It must not install anything on the system, and it brings its own fonts, so that pictures look alike everywhere.

axe_version=4.14.1
axe_sha256=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

# print_browser: three lines, the programs of Chromium and of chromedriver, and the script that looks for barriers.
print_browser() {
    local home=$software_dir/browser axe=$software_dir/axe-core-$axe_version
    install_world browser bookworm chromium chromium-driver fonts-inter fonts-jetbrains-mono fonts-noto-color-emoji ||
        fail "Chromium cannot be had from Debian's packages"
    [[ -x $home/chromedriver ]] || with_lock software write_browser "$home"
    [[ -d $axe ]] || with_lock software unpack_axe "$axe"
    printf '%s\n' "$home/chromium" "$home/chromedriver" "$axe/package/axe.min.js"
}

unpack_axe() {
    local archive=$1.new/axe-core-$axe_version.tgz
    [[ ! -d $1 ]] || return 0
    choose_node
    rm -rf "$1.new"
    mkdir -p "$1.new"
    say "Downloading axe-core from npm ..."
    "${npm[@]}" pack --silent --pack-destination "$1.new" "axe-core@$axe_version" >&2
    printf '%s  %s\n' "$axe_sha256" "$archive" | sha256sum --check --status ||
        fail "axe-core $axe_version is not the file it was: its SHA-256 is not $axe_sha256"
    tar -xzf "$archive" -C "$1.new" package/axe.min.js package/LICENSE
    rm "$archive"
    mv "$1.new" "$1"
}

# Chromium starts itself again for each of its processes, so it runs with the system's libc and the libraries of its own.
write_browser() {
    local home=$1 libraries=$1/libraries folder file
    # Without a screen there is nothing for the drivers of graphics cards to do.
    rm -rf "$home"/usr/lib/*-linux-gnu/{dri,libLLVM*,libgallium*,systemd} "$home"/usr/lib/{systemd,udev} "$home"/usr/share/icons
    mkdir -p "$libraries"
    for folder in "$home"/usr/lib/*-linux-gnu "$home"/lib/*-linux-gnu; do
        [[ -d $folder ]] || continue
        for file in "$folder"/*.so* "$folder"/*/*.so*; do
            case ${file##*/} in
                ld-linux* | libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | libnss_*) ;;
                *) ln -sf "$file" "$libraries/" ;;
            esac
        done
    done
    cat >"$home/fonts.conf" <<CONF
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$home/usr/share/fonts</dir><cachedir>$home/fonts</cachedir></fontconfig>
CONF
    write_browser_command "$home/chromium" "$home/usr/lib/chromium/chromium"
    write_browser_command "$home/chromedriver" "$home/usr/bin/chromedriver"
}

# write_browser_command FILE PROGRAM
write_browser_command() {
    {
        printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%q FONTCONFIG_FILE=%q\n' "$libraries" "$home/fonts.conf"
        printf 'exec %q "$@"\n' "$2"
    } >"$1.new"
    chmod +x "$1.new"
    mv "$1.new" "$1"
}
