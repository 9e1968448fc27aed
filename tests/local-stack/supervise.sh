# Runs one command for an owner, in a temporary folder, and cleans up when either of them ends.
# usage: sh -c "$(cat supervise.sh)" local-stack-supervisor FOLDER, in a process group of its own
#
# The owner holds the other end of standard input. It puts the file `command`, a shell script, into FOLDER and sends
# one line: the signal to stop the command with. When it closes its end, or ends in any way (also by `kill -9`), the
# process group gets that signal, then KILL, and FOLDER is removed. When the command ends first, its status is
# written to FOLDER/exited, so that the owner can read FOLDER/log before it lets go. As the process group is not the
# terminal's, Ctrl-C reaches the owner alone.
folder=$1
mkdir -m 700 -- "$folder" || exit 1
cd "$folder" || exit 1
trap : HUP INT QUIT TERM

remove_folder() {
    cd /
    ticks=0
    until rm -rf -- "$folder" 2>/dev/null || [ "$ticks" -ge 50 ]; do
        ticks=$((ticks + 1))
        sleep 0.1
    done
}

if ! read -r signal; then
    remove_folder
    exit
fi
exec 3<&0 </dev/null
/bin/sh ./command >log 2>&1 3<&- &
child=$!

(
    while read -r _ <&3; do :; done
    trap : HUP INT QUIT TERM
    kill -s "$signal" -- "-$$"
    ticks=0
    while kill -0 "$child"; do
        [ "$ticks" -lt 100 ] || kill -s KILL "$child"
        ticks=$((ticks + 1))
        sleep 0.1
    done
) &
watcher=$!
exec 3<&-

# A trapped signal interrupts `wait`, so it is asked again until the process is gone.
until_gone() {
    while :; do
        wait "$1"
        status=$?
        kill -0 "$1" 2>/dev/null || return "$status"
    done
}
until_gone "$child"
echo $? >exited
until_gone "$watcher"
remove_folder
