"""The scripts that write a run's record on its host. Each begins by reading the run's own library."""

OPEN = """\
run=$1 line=$2 plan=$3 holder=$4 ttl=$5
umask 007
mkdir -p "$run/undo" "$run/sessions" || exit 1
printf '%s' "$6" >"$run/library.sh" && printf '%s' "$7" >"$run/unwind.sh" || exit 1
printf '%s' "$8" >"$run/guard.sh" || exit 1
printf '%s' "$plan" >"$run/plan.json" && printf '%s\\n' "$holder" >"$run/holder" || exit 1
. "$run/library.sh"
keep_reserve "$run" || exit 1
renew "$run" "$ttl" && : >"$run/undecided" && printf '%s\\n' "$line" >>"$run/journal.jsonl" || exit 1
flush "$run/library.sh" "$run/unwind.sh" "$run/guard.sh" "$run/plan.json" "$run/journal.jsonl" "$run" "$run/.."
start_guard "$run"
"""

# The fence: a run that lost its lock or its lead, or was decided by somebody else, must not take another step.
# The session is noted before it is looked whether this process leads: whoever takes the lead away writes that down
# first and then ends what it finds noted, so one of the two sees the other.
BEGIN = """\
run=$1 holder=$2 ttl=$3 name=$4 undo=$5 line=$6
umask 007
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
renew "$run" "$ttl" || exit 1
if [ -n "$undo" ]; then
  { printf '%s' "$undo" >"$run/undo/$name.partial"; } 2>/dev/null || cannot_write "$run" || exit 1
  flush "$run/undo/$name.partial"
  mv "$run/undo/$name.partial" "$run/undo/$name.sh" || exit 1
fi
write_down "$run" "$line" || exit 1
flush "$run/journal.jsonl" "$run/undo"
"""

# The same fence for the later parts of a step: each of them travels in a session of its own.
HOLD = """\
run=$1 holder=$2 ttl=$3
umask 007
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
renew "$run" "$ttl" || exit 1
"""

LED = """\
run=$1 holder=$2
shift 2
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
(exec "$@")
code=$?
forget_session "$run"
exit "$code"
"""

APPEND = """\
run=$1 holder=$2
. "$run/library.sh" || exit 1
is_led_by "$run" "$holder" || exit 75
write_down "$run" "$3" || exit 1
flush "$run/journal.jsonl"
"""

COMMIT = """\
run=$1 holder=$2 line=$3
umask 007
. "$run/library.sh" || exit 75
alone "$run" 20 || exit 78
is_led_by "$run" "$holder" || exit 75
mv "$run/undecided" "$run/committed" || exit 75
give_reserve "$run"
write_down "$run" "$line" || exit 1
: >"$run/settled"
flush "$run/journal.jsonl" "$run"
"""

# A sign of life for each line; the connection's end ends it.
RENEW = """\
run=$1 holder=$2 ttl=$3
umask 007
. "$run/library.sh" || exit 75
while IFS= read -r beat; do
  is_led_by "$run" "$holder" || exit 75
  renew "$run" "$ttl" || exit 1
done
"""

# After a lost connection: what was under way may still be; it is waited for, then the run is ours again or not.
REJOIN = """\
run=$1 holder=$2 ttl=$3 limit=$4
umask 007
. "$run/library.sh" || exit 75
while [ -n "$(session_members "$run")" ] && [ "$limit" -gt 0 ]; do
  is_led_by "$run" "$holder" || exit 75
  renew "$run" "$ttl"
  sleep 1
  limit=$((limit - 1))
done
is_led_by "$run" "$holder" && renew "$run" "$ttl" || exit 75
[ -z "$(session_members "$run")" ] || exit 79
"""

# The old leader is shut out before what it started is ended.
LEAD = """\
run=$1 holder=$2 ttl=$3 line=$4
umask 007
. "$run/library.sh" || exit 75
alone "$run" 20 || exit 78
[ -e "$run/undecided" ] || exit 75
[ "$(seconds_left "$run")" -le 0 ] || exit 78
printf '%s\\n' "$holder" >"$run/holder.partial" && mv "$run/holder.partial" "$run/holder" || exit 1
renew "$run" "$ttl" || exit 1
start_guard "$run"
end_session "$run" || exit 78
write_down "$run" "$line" || exit 1
flush "$run/journal.jsonl"
"""

VERDICT = """\
run=$1 limit=$2
while [ ! -e "$run/settled" ] && [ "$limit" -gt 0 ]; do sleep 1; limit=$((limit - 1)); done
if [ -e "$run/settled" ] && [ -e "$run/committed" ]; then echo committed
elif [ -e "$run/settled" ]; then echo restored
elif [ -e "$run/undecided" ]; then echo undecided
else echo deciding; fi
cat "$run/journal.jsonl"
"""

UNDO_ONE = """\
file=$1/undo/$2.sh
[ -e "$file" ] || exit 0
sh "$file" >>"$1/undo/$2.log" 2>&1 </dev/null
"""
