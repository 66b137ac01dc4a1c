"""The scripts that stay on the host with a run: its library, the undoing, and the dead-man guard.

They need a POSIX shell, ``/proc`` and, for two that meet at the same moment, ``flock`` (util-linux, busybox); where
that is missing the atomic rename alone decides.
"""

LIBRARY = """\
# Uptime, not the clock: a clock that jumps must neither fire the guard nor hold it back.
uptime_seconds() { if [ -r /proc/uptime ]; then cut -d. -f1 /proc/uptime; else date +%s; fi; }
flush() { sync "$@" 2>/dev/null || sync; }
renew() {
  printf '%s\\n' "$(($(uptime_seconds) + $2))" >"$1/lease.$$" && mv "$1/lease.$$" "$1/lease" || return 1
  touch "$1/../../lock/heartbeat" 2>/dev/null
  return 0
}
seconds_left() {
  until=$(cat "$1/lease" 2>/dev/null)
  case $until in '' | *[!0-9]*) until=0 ;; esac
  left=$((until - $(uptime_seconds)))
  # More than any lease is left only where the host was started again since.
  [ "$left" -le 86400 ] || left=0
  echo "$left"
}
is_led_by() {
  [ "$(cat "$1/holder" 2>/dev/null)" = "$2" ] && [ -e "$1/undecided" ] &&
    [ "$(cat "$1/../../lock/run_id" 2>/dev/null)" = "${1##*/}" ]
}
# Everything that one connection started is one session; `timeout` opens groups of its own inside of it.
own_session() { sed 's/.*) //' "/proc/$$/stat" 2>/dev/null | cut -d' ' -f4; }
note_session() { own_session >"$1/session.$$" && mv "$1/session.$$" "$1/session"; }
# The number may belong to a stranger by now: then its leader lives, and does not have the run in its command line.
session_members() {
  session=$(cat "$1/session" 2>/dev/null)
  [ -n "$session" ] && [ "$session" != "$(own_session)" ] || return 0
  if [ -e "/proc/$session/cmdline" ]; then
    tr '\\0' ' ' <"/proc/$session/cmdline" 2>/dev/null | grep -qF -- "${1##*/}" || return 0
  fi
  for stat in /proc/[0-9]*/stat; do
    { IFS= read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    if [ "$1" != Z ] && [ "$4" = "$session" ]; then echo "$pid"; fi
  done
}
end_session() {
  tries=0
  while [ "$tries" -le 80 ]; do
    members=$(session_members "$1")
    [ -n "$members" ] || return 0
    [ "$tries" -ne 0 ] || kill -s TERM -- $members 2>/dev/null
    [ "$tries" -lt 50 ] || kill -s KILL -- $members 2>/dev/null
    tries=$((tries + 1))
    sleep 0.1
  done
  return 1
}
# Decisions are taken by one process at a time; the lock ends with the process.
alone() {
  exec 9>"$1/decision.lock" || return 1
  command -v flock >/dev/null 2>&1 || return 0
  tries=0
  until flock -n 9; do
    [ "$tries" -lt "$2" ] || return 1
    sleep 0.1
    tries=$((tries + 1))
  done
}
unlock() {
  state=$1/../..
  [ "$(cat "$state/lock/run_id" 2>/dev/null)" = "${1##*/}" ] || return 0
  mv "$state/lock" "$state/lock.${1##*/}" && rm -rf "$state/lock.${1##*/}"
}
# In a session of its own and with nothing of the connection left open, it outlives the connection.
start_guard() {
  if command -v setsid >/dev/null 2>&1; then
    setsid sh "$1/guard.sh" </dev/null >>"$1/guard.log" 2>&1 9>&- &
  else
    (trap '' HUP; exec sh "$1/guard.sh" </dev/null >>"$1/guard.log" 2>&1 9>&-) &
  fi
}
"""

# $1 who decides: laptop, guard, or undo (of a committed run). Every compensation is tried.
UNWIND = """\
#!/bin/sh
who=$1
run=$(cd "$(dirname "$0")" && pwd) || exit 1
LC_ALL=C
export LC_ALL
umask 077
trap '' HUP PIPE
. "$run/library.sh" || exit 1
alone "$run" 20 || exit 78
if [ -e "$run/committed" ] && [ "$who" != undo ]; then
  : >"$run/settled"
  exit 76
fi
[ ! -e "$run/settled" ] || [ "$who" = undo ] || exit 0
case $who in
  undo)
    if [ -e "$run/committed" ]; then
      mv "$run/committed" "$run/decided-undo" || exit 1
      rm -f "$run/settled"
    fi
    ;;
  guard)
    # The laptop may have come back while the guard waited for its turn.
    if [ -e "$run/undecided" ] && [ "$(seconds_left "$run")" -gt 0 ]; then exit 78; fi
    ;;
esac
if [ -e "$run/undecided" ]; then mv "$run/undecided" "$run/decided-$who" || exit 1; fi
end_session "$run"
failed=0
for file in $(ls -r "$run/undo"); do
  case $file in *.sh) ;; *) continue ;; esac
  name=${file%.sh}
  if sh "$run/undo/$file" >>"$run/undo/$name.log" 2>&1 </dev/null 9>&-; then
    mv "$run/undo/$file" "$run/undo/$name.undone"
    state=compensated
  else
    failed=1
    state=compensation_failed
  fi
  printf '{"version": 1, "event": "%s", "step": "%s", "at": "%s", "by": "%s"}\\n' "$state" "$name" \\
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" >>"$run/journal.jsonl"
  printf '%s %s\\n' "$state" "${name#*-}"
done
[ "$failed" = 0 ] || exit 77
printf '{"version": 1, "event": "settled", "outcome": "restored", "at": "%s", "by": "%s"}\\n' \\
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" >>"$run/journal.jsonl"
: >"$run/settled"
flush "$run/journal.jsonl"
unlock "$run"
"""

# Tried again while something fails: an engine that restarts is back after some seconds.
GUARD = """\
#!/bin/sh
run=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$run/library.sh" || exit 1
trap '' HUP
printf '%s\\n' "$$" >"$run/guard.pid"
tries=0
while [ ! -e "$run/settled" ] && [ "$tries" -lt 60 ]; do
  if [ -e "$run/undecided" ] && [ "$(seconds_left "$run")" -gt 0 ]; then
    sleep 1
    continue
  fi
  sh "$run/unwind.sh" guard
  case $? in 0 | 76) exit 0 ;; 78) ;; *) tries=$((tries + 1)) ;; esac
  sleep 2
done
"""
