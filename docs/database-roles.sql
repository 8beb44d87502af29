-- The application's own role on PostgreSQL. Run it as the owner of the tables, in revshare's database, after the
-- first `revshare migrate`; running it again is harmless. Then give the role a password with \password revshare_app.
-- docs/database-roles.md says why.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revshare_app') THEN
        CREATE ROLE revshare_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
END
$$;

-- Before PostgreSQL 15 everybody may make tables in the schema public.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO revshare_app;

-- Views of the facts, sessions, queues: the application keeps these up to date itself.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO revshare_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO revshare_app;

-- Tables that later migrations add.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO revshare_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO revshare_app;

-- The facts themselves: to be added and read, nothing else.
REVOKE ALL ON stored_events FROM revshare_app;
GRANT SELECT, INSERT ON stored_events TO revshare_app;
REVOKE ALL ON SEQUENCE stored_events_notification_id_seq FROM revshare_app;
GRANT USAGE ON SEQUENCE stored_events_notification_id_seq TO revshare_app; -- draws ids, cannot set them back

-- Which migrations have run is for the owner to say.
REVOKE ALL ON alembic_version FROM revshare_app;
GRANT SELECT ON alembic_version TO revshare_app;

-- Taking the log's lock without the right to change the log, or the table beside it that the lock is on.
REVOKE ALL ON stored_events_lock FROM revshare_app;
GRANT EXECUTE ON FUNCTION lock_stored_events() TO revshare_app;
