"""The scripts that stay on the host with a run: its library, the undoing, and the dead-man guard.

They need a POSIX shell and ``/proc``. Where ``flock`` (util-linux, busybox) is missing, a file that is renamed from
one process to the next takes its place.
"""

# $1 folder, $2 tenths of a second to wait. One process at a time; the turn ends with the process.
ALONE = """\
# A token named after the process that has it; it is free where that process is gone, or a stranger has its number.
claim() {
  turn_made=$1/turns.$$
  [ -d "$1/turns" ] || { mkdir "$turn_made" && : >"$turn_made/0" && mv "$turn_made" "$1/turns"; } 2>/dev/null
  for turn in "$1"/turns/[0-9]*; do
    turn_of=${turn##*/}
    turn_said=$({ tr '\\0' ' ' <"/proc/$turn_of/cmdline"; } 2>/dev/null)
    case $turn_said in *"${1##*/}"*) [ "$turn_of" = "$$" ]; return ;; esac
    mv "$turn" "$1/turns/$$" 2>/dev/null && return 0
  done
  return 1
}
alone() {
  turn_tries=0
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$1/decision.lock" || return 1
    until flock -n 9; do
      [ "$turn_tries" -lt "$2" ] || return 1
      sleep 0.1
      turn_tries=$((turn_tries + 1))
    done
  else
    until claim "$1"; do
      [ "$turn_tries" -lt "$2" ] || return 1
      sleep 0.1
      turn_tries=$((turn_tries + 1))
    done
  fi
}
"""

LIBRARY = (
    ALONE
    + """\
# Uptime, not the clock: a clock that jumps must neither fire the guard nor hold it back.
uptime_seconds() { if [ -r /proc/uptime ]; then cut -d. -f1 /proc/uptime; else date +%s; fi; }
# Uptime and process numbers mean nothing after a restart.
boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }
flush() { sync "$@" 2>/dev/null || sync; }
# The shell says "I/O error" where a disk is full.
cannot_write() {
  room=$(df -Pk "$1" 2>/dev/null | tail -n 1 | tr -s ' ' | cut -d' ' -f4)
  echo "cannot write to $1: $room KiB are free" >&2
  return 1
}
# A last line that a full disk tore must not swallow this one.
write_down() {
  { [ -z "$(tail -c 1 "$1/journal.jsonl" 2>/dev/null)" ] || printf '\\n' >>"$1/journal.jsonl"; } 2>/dev/null &&
    { printf '%s\\n' "$2" >>"$1/journal.jsonl"; } 2>/dev/null || cannot_write "$1"
}
last_words() { tail -n 20 "$1" 2>/dev/null | grep -v '^ *$' | tail -n 1 | tr -d '\\000-\\037' | cut -c1-400; }
# Room for the way back on a disk that fills up meanwhile; noise, since a file system may keep no room for zeros.
keep_reserve() { { head -c 1048576 /dev/urandom >"$1/reserve"; } 2>/dev/null || cannot_write "$1"; }
give_reserve() { rm -f "$1/reserve"; }
renew() {
  { printf '%s %s\\n' "$(($(uptime_seconds) + $2))" "$(boot)" >"$1/lease.$$"; } 2>/dev/null &&
    mv "$1/lease.$$" "$1/lease" || {
    rm -f "$1/lease.$$"
    cannot_write "$1"
    return 1
  }
  touch "$1/../../lock/heartbeat" 2>/dev/null
  return 0
}
seconds_left() {
  until='' since=''
  { read -r until since <"$1/lease"; } 2>/dev/null
  case $until in '' | *[!0-9]*) until=0 ;; esac
  left=$((until - $(uptime_seconds)))
  # More than any lease is left only where the host was started again since and did not say so.
  [ "$since" = "$(boot)" ] && [ "$left" -le 86400 ] || left=0
  echo "$left"
}
has_lock() { [ "$(cat "$1/../../lock/run_id" 2>/dev/null)" = "${1##*/}" ]; }
is_led_by() { [ "$(cat "$1/holder" 2>/dev/null)" = "$2" ] && [ -e "$1/undecided" ] && has_lock "$1"; }
# Everything that one channel started is one session; `timeout` opens groups of its own inside of it.
own_session() { sed 's/.*) //' "/proc/$$/stat" 2>/dev/null | cut -d' ' -f4; }
# Each session has a note of its own: one that comes late must not hide the one that acts.
note_session() {
  mine=$(own_session)
  [ -n "$mine" ] || return 0
  { (umask 007 && boot >"$1/session.$$") && mv "$1/session.$$" "$1/sessions/$mine"; } 2>/dev/null || cannot_write "$1"
}
forget_session() { rm -f "$1/sessions/$(own_session)"; }
# The number may belong to a stranger by now: then its leader lives, and does not have the run in its command line.
noted_sessions() {
  mine=$(own_session) booted=$(boot)
  for note in "$1"/sessions/*; do
    { read -r since <"$note"; } 2>/dev/null || continue
    number=${note##*/}
    [ "$since" = "$booted" ] && [ "$number" != "$mine" ] || continue
    said=$({ tr '\\0' ' ' <"/proc/$number/cmdline"; } 2>/dev/null)
    case $said in '' | *"${1##*/}"*) printf ' %s ' "$number" ;; esac
  done
}
session_members() {
  sessions=$(noted_sessions "$1")
  [ -n "$sessions" ] || return 0
  for stat in /proc/[0-9]*/stat; do
    { IFS= read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    [ "$1" != Z ] || continue
    case $sessions in *" $4 "*) echo "$pid" ;; esac
  done
}
# Seen empty twice: while one looks, a process may hand over to a child and end.
end_session() {
  began=$(uptime_seconds) passed=0 empty=0 sent=''
  while [ "$passed" -le 9 ]; do
    passed=$(($(uptime_seconds) - began))
    members=$(session_members "$1")
    if [ -z "$members" ]; then
      empty=$((empty + 1))
      [ "$empty" -lt 2 ] || return 0
      continue
    fi
    empty=0
    [ -n "$sent" ] || kill -s TERM -- $members 2>/dev/null
    sent=yes
    [ "$passed" -le 5 ] || kill -s KILL -- $members 2>/dev/null
    sleep 0.1
  done
  return 1
}
unlock() (
  has_lock "$1" || exit 0
  state=$(cd "$1/../.." && pwd) || exit 1
  alone "$state" 100 || exit 1
  has_lock "$1" || exit 0
  mv "$state/lock" "$state/lock.${1##*/}" && rm -rf "$state/lock.${1##*/}"
)
# In a session of its own and with nothing of the connection left open, it outlives the connection.
start_guard() {
  if command -v setsid >/dev/null 2>&1; then
    setsid sh "$1/guard.sh" </dev/null >>"$1/guard.log" 2>&1 9>&- &
  else
    (trap '' HUP; exec sh "$1/guard.sh" </dev/null >>"$1/guard.log" 2>&1 9>&-) &
  fi
}
"""
)

# $1 who decides: laptop, guard, or undo (of a committed run); $2 the word of the laptop that must still lead the run,
# empty where it need not. Every compensation is tried. What is older than one that failed is undone again behind it,
# since it may rest on it: containers that start while an image's name means the other release are the wrong ones.
UNWIND = """\
#!/bin/sh
who=$1
run=$(cd "$(dirname "$0")" && pwd) || exit 1
LC_ALL=C
export LC_ALL
umask 007
trap '' HUP PIPE
. "$run/library.sh" || exit 1
alone "$run" 20 || exit 78
if [ -e "$run/committed" ] && [ "$who" != undo ]; then
  : >"$run/settled"
  exit 76
fi
if [ -e "$run/settled" ] && [ "$who" != undo ]; then
  unlock "$run"
  exit 0
fi
case $who in
  undo)
    if [ -e "$run/committed" ]; then
      # Unfinished before it is undone, so that no other run starts beside it and none takes it for restored.
      rm -f "$run/settled"
      has_lock "$run" || { : >"$run/settled"; exit 75; }
      mv "$run/committed" "$run/decided-undo" || exit 1
    fi
    ;;
  guard)
    # The laptop may have come back while the guard waited for its turn.
    if [ -e "$run/undecided" ] && [ "$(seconds_left "$run")" -gt 0 ]; then exit 78; fi
    ;;
  *)
    # Another laptop went on with the run: it is not this one's to decide.
    if [ -e "$run/undecided" ] && [ -n "$2" ] && [ "$(cat "$run/holder")" != "$2" ]; then exit 75; fi
    ;;
esac
if [ -e "$run/undecided" ]; then mv "$run/undecided" "$run/decided-$who" || exit 1; fi
flush "$run"
if ! end_session "$run"; then
  echo "what the run had begun does not end: $(session_members "$run" | tr '\\n' ' ')" >&2
  exit 77
fi
give_reserve "$run"
failed=0 moved=
for file in $(ls -r "$run/undo"); do
  case $file in *.sh | *.early) ;; *) continue ;; esac
  # Undone before what came after it: once more behind that, and behind whatever was undone anew now, so that nothing
  # stays away that was taken away on the way.
  case $file in *.early) [ "$failed" = 0 ] || [ "$moved" = yes ] || continue ;; esac
  name=${file%.*}
  # It holds the turn as well: where this process is killed, nobody runs it beside itself.
  if sh "$run/undo/$file" >>"$run/undo/$name.log" 2>&1 </dev/null; then
    if [ "$failed" = 0 ]; then to=undone; else to=early; fi
    [ "$file" = "$name.$to" ] || mv "$run/undo/$file" "$run/undo/$name.$to"
    moved=yes state=compensated why=
  else
    failed=1
    # What is older may start the application on what could not be taken back: its rows are nobody's to drop then.
    : >"$run/served"
    state=compensation_failed why=$(last_words "$run/undo/$name.log")
  fi
  write_down "$run" "$(printf '{"version": 1, "event": "%s", "step": "%s", "at": "%s", "by": "%s"}' "$state" "$name" \\
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who")"
  printf '%s %s %s\\n' "$state" "${name#*-}" "$why"
done
[ "$failed" = 0 ] || exit 77
write_down "$run" "$(printf '{"version": 1, "event": "settled", "outcome": "restored", "at": "%s", "by": "%s"}' \\
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who")"
: >"$run/settled"
flush "$run/journal.jsonl" "$run"
unlock "$run"
"""

# Tried again while something fails, ever more seldom for about an hour: an engine that restarts is back after some
# seconds, on a full disk somebody has to make room.
GUARD = """\
#!/bin/sh
run=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$run/library.sh" || exit 1
trap '' HUP
printf '%s\\n' "$$" >"$run/guard.pid"
tries=0 pause=2
while [ ! -e "$run/settled" ] && [ "$tries" -lt 80 ]; do
  if [ -e "$run/undecided" ] && [ "$(seconds_left "$run")" -gt 0 ]; then
    sleep 1
    continue
  fi
  sh "$run/unwind.sh" guard
  case $? in
    0 | 76) exit 0 ;;
    78) ;;
    *)
      tries=$((tries + 1))
      [ "$pause" -ge 60 ] || pause=$((pause + 1))
      ;;
  esac
  sleep "$pause"
done
"""
