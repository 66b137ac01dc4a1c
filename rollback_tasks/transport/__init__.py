"""The only room that knows fabric, paramiko and psycopg."""
