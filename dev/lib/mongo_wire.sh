# shellcheck shell=bash
# As much of MongoDB's wire protocol as it takes to say `hello` and to initiate a replica set: OP_MSG without
# authentication, over bash's own sockets. It must not become a client: whoever needs data uses a driver.
# Bytes are carried as hexadecimal text, because bash cannot hold zero bytes.

hex_of() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }

bytes_of() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')"; }

hex_int32() {
    printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

bson_document() { printf '%s%s00' "$(hex_int32 $((${#1} / 2 + 5)))" "$1"; }
bson_int32() { printf '10%s00%s' "$(hex_of "$1")" "$(hex_int32 "$2")"; }
bson_string() { printf '02%s00%s%s00' "$(hex_of "$1")" "$(hex_int32 $((${#2} + 1)))" "$(hex_of "$2")"; }
bson_embedded() { printf '03%s00%s' "$(hex_of "$1")" "$(bson_document "$2")"; }
bson_array_of_one() { printf '04%s00%s' "$(hex_of "$1")" "$(bson_document "$(bson_embedded 0 "$2")")"; }

# mongo_command PORT ELEMENTS prints the reply in hexadecimal; fails when nobody answers.
mongo_command() {
    local port=$1 body length
    # Flags, section kind 0, document.
    body=0000000000$(bson_document "$2$(bson_string "\$db" admin)")
    # Length, request, response to, and OP_MSG's code, 2013.
    body=$(hex_int32 $((${#body} / 2 + 16)))0100000000000000dd070000$body
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        bytes_of "$body" >&3
        length=$(read_hex 4)
        [[ ${#length} == 8 ]] || exit 1
        read_hex $((0x${length:6:2}${length:4:2}${length:2:2}${length:0:2} - 4))
    ) 2>/dev/null
}

read_hex() { timeout 30 head -c "$1" <&3 | od -An -v -tx1 | tr -d ' \n'; }

# `{ ok: 1.0 }` somewhere in the reply.
reply_is_ok() { [[ $1 == *016f6b00000000000000f03f* ]]; }

reply_has() { [[ $1 == *"$(hex_of "$2")00"* ]]; }

reply_is_true() { [[ $1 == *"08$(hex_of "$2")0001"* ]]; }

# reply_string REPLY NAME prints that string of the reply, or nothing.
reply_string() {
    local rest length name
    name=02$(hex_of "$2")00
    [[ $1 == *"$name"* ]] || return 0
    rest=${1#*"$name"}
    length=$((0x${rest:6:2}${rest:4:2}${rest:2:2}${rest:0:2} - 1))
    bytes_of "${rest:8:length * 2}"
    echo
}

mongo_hello() { mongo_command "$1" "$(bson_int32 hello 1)"; }

mongo_version() { reply_string "$(mongo_command "$1" "$(bson_int32 buildInfo 1)")" version; }

# initiate_replica_set PORT: rs0 with this one member, unless it has been; then waits until it takes writes.
initiate_replica_set() {
    local port=$1 reply tenths member
    for ((tenths = 0; tenths < 600; tenths++)); do
        reply=$(mongo_hello "$port" || true)
        if reply_is_true "$reply" isWritablePrimary; then
            return 0
        elif reply_has "$reply" isreplicaset; then
            member=$(bson_int32 _id 0)$(bson_string host "127.0.0.1:$port")
            reply=$(mongo_command "$port" \
                "$(bson_embedded replSetInitiate "$(bson_string _id rs0)$(bson_array_of_one members "$member")")")
            # Somebody else may have been faster.
            reply_is_ok "$reply" || [[ $(reply_string "$reply" codeName) == AlreadyInitialized ]] ||
                { say "mongod refuses to initiate rs0: $(reply_string "$reply" errmsg)"; return 1; }
        fi
        sleep 0.1
    done
    say "mongod at port $port did not become primary within a minute."
    return 1
}
