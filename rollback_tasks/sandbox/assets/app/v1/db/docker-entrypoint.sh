#!/bin/bash
# Starts PostgreSQL by the contract of the official image: POSTGRES_USER, POSTGRES_PASSWORD (or
# POSTGRES_PASSWORD_FILE) and POSTGRES_DB make the cluster in PGDATA at the first start; a local socket is
# trusted, other addresses need the password; the server is process 1 and stops fast on SIGINT.
set -euo pipefail

if [ "$1" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
  install -d -m 2775 -o postgres -g postgres /var/run/postgresql
  install -d -m 0700 -o postgres -g postgres "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
password=${POSTGRES_PASSWORD:-}
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then password=$(<"$POSTGRES_PASSWORD_FILE"); fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "$password" ]; then
    echo "POSTGRES_PASSWORD is not set and the data folder is empty" >&2
    exit 1
  fi
  initdb --username="$user" --pwfile=<(printf '%s\n' "$password") --auth=trust --data-checksums
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start
  if [ "$database" != postgres ]; then
    psql -X -v ON_ERROR_STOP=1 -v name="$database" -U "$user" -d postgres <<<'CREATE DATABASE :"name";'
  fi
  pg_ctl -w -m fast stop
fi
unset password

exec "$@" -c listen_addresses='*'
