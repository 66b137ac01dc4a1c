"""Fill an empty database with the same readers and comics everywhere: python -m app.seed"""

from sqlalchemy import inspect, text

from app.database import engine

WHEN = "timestamptz '2025-01-01 00:00:00+00' + g * interval '1 minute'"

ROWS = f"""
INSERT INTO users (name, email, created_at)
  SELECT 'Reader ' || g, 'reader' || g || '@example.com', {WHEN} FROM generate_series(1, 2000) g;
INSERT INTO threads (user_id, title, created_at)
  SELECT 1 + g % 2000, 'Comic no. ' || g, {WHEN} FROM generate_series(1, 5000) g;
INSERT INTO sessions (user_id, token, created_at)
  SELECT 1 + g % 2000, md5(g::text), {WHEN} FROM generate_series(1, 4000) g;
INSERT INTO events (session_id, thread_id, kind, details, created_at)
  SELECT 1 + g % 4000, CASE WHEN g % 5 > 0 THEN 1 + g % 5000 END, (ARRAY['read', 'rate', 'queue', 'drop'])[1 + g % 4],
         json_build_object('page', g % 32), {WHEN}
  FROM generate_series(1, 20000) g;
INSERT INTO tasks (user_id, title, is_done, created_at)
  SELECT 1 + g % 2000, 'Buy issue ' || g, g % 3 = 0, {WHEN} FROM generate_series(1, 3000) g;
"""

INVOICES = f"""
INSERT INTO invoices (user_id, amount_cents, issued_at)
  SELECT g, 100 + g % 900, {WHEN} FROM generate_series(4, 2000, 4) g;
"""

NICKNAMES = "UPDATE users SET nickname = 'pile' || id WHERE id % 10 <> 0;"


def main() -> None:
    with engine.begin() as connection:
        if connection.scalar(text("SELECT EXISTS (SELECT FROM users)")):
            return
        connection.execute(text(ROWS))
        schema = inspect(connection)
        if schema.has_table("invoices"):
            connection.execute(text(INVOICES))
        if any(column["name"] == "nickname" for column in schema.get_columns("users")):
            connection.execute(text(NICKNAMES))


if __name__ == "__main__":
    main()
