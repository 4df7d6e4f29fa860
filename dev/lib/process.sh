# shellcheck shell=bash
# Processes that outlive the shell that started them, found again by pid and command line, and loopback ports.
# It must not signal a process before its command line has shown that it is still the one that was started.

# start_detached PIDFILE ARGUMENT LOG COMMAND...: the new process has a session of its own and holds nothing of the
# caller's open: neither output, nor locks, nor the pipes of a test harness or of make. It writes its number itself,
# before it becomes the program, so that it is found again even when the caller is killed meanwhile.
start_detached() {
    local pidfile=$1 argument=$2 log=$3 pid
    shift 3
    (
        cd /
        exec </dev/null >>"$log" 2>&1
        close_descriptors
        printf '%s\n' "$BASHPID" >"$pidfile"
        exec setsid nohup "$@"
    ) &
    pid=$!
    until is_running "$pid" "$argument" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

close_descriptors() {
    local descriptor
    for descriptor in /proc/"$BASHPID"/fd/*; do
        descriptor=${descriptor##*/}
        ((descriptor <= 2)) || eval "exec $descriptor>&-"
    done
}

# is_running PID ARGUMENT: that process lives and was started with exactly this argument. A process that is ending has
# no command line, and a stranger that got the same number has another one.
is_running() {
    local pid=$1 argument
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    {
        while IFS= read -r -d '' argument; do
            [[ $argument == "$2" ]] && return 0
        done <"/proc/$pid/cmdline"
    } 2>/dev/null
    return 1
}

# is_ending PID: it lost its command line, but one of its threads still holds files and ports. A dead process that
# nobody collected holds nothing any more.
is_ending() {
    local command_line task
    command_line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
    [[ -z $command_line ]] || return 1
    for task in "/proc/$1"/task/*/stat; do
        # The state follows the name, which is in parentheses.
        grep -qE '\) [ZX] [-0-9 ]+$' "$task" 2>/dev/null || [[ ! -e $task ]] || return 0
    done
    return 1
}

# await_end PID ARGUMENT TENTHS: fails when it is still there after that many tenths of a second.
await_end() {
    local tenths
    for ((tenths = 0; tenths < $3; tenths++)); do
        is_running "$1" "$2" || is_ending "$1" || return 0
        sleep 0.1
    done
    return 1
}

# stop_process PID ARGUMENT SIGNAL: waits until it is gone; whoever does not listen for a minute is killed.
stop_process() {
    if is_running "$1" "$2"; then kill -s "$3" "$1"; fi
    await_end "$1" "$2" 600 && return 0
    say "Process $1 did not stop within a minute; killing it."
    if is_running "$1" "$2"; then kill -s KILL "$1"; fi
    await_end "$1" "$2" 600 || fail "process $1 cannot be stopped"
}

# answers HOST PORT: something accepts connections there.
answers() {
    # shellcheck disable=SC2016
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

# A port of the loopback that nobody listens on, below the range that systems hand out by themselves.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        answers 127.0.0.1 "$port" || break
    done
    printf '%s\n' "$port"
}
