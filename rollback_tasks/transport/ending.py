"""The script that ends a command which nobody waits for any more, and all that it had started."""

from __future__ import annotations

TERM_SECONDS = 5.0
KILL_SECONDS = 3.0
# The script's own polling is slower than its count says on a busy host.
WHOLE_SECONDS = 2 * (TERM_SECONDS + KILL_SECONDS)

# $1 the process that sshd (or we) started, which leads a session and a group. A group alone is not enough: `timeout`
# inside a script opens a group of its own, and would survive. A zombie does nothing any more and is not waited for.
# Without /proc (BSD, macOS) only the group can be found. Exit code 0 = nothing is left.
END_SCRIPT = """\
leader=$1
members() {
  if [ ! -r /proc/self/stat ]; then
    kill -s 0 -- "-$leader" 2>/dev/null && echo "-$leader"
    return
  fi
  for stat in /proc/[0-9]*/stat; do
    { IFS= read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    if [ "$1" != Z ] && { [ "$3" = "$leader" ] || [ "$4" = "$leader" ]; }; then echo "$pid"; fi
  done
}
round=0
while [ "$round" -le 70 ]; do
  left=$(members)
  if [ -z "$left" ]; then exit 0; fi
  if [ "$round" -eq 0 ]; then kill -s TERM -- $left 2>/dev/null; fi
  if [ "$round" -ge 40 ]; then kill -s KILL -- $left 2>/dev/null; fi
  round=$((round + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
exit 1
"""
