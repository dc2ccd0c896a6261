"""Entries of the audit log and their seals are only added, and every entry is sealed when it is committed."""

from django.db import migrations

TABLES = ("users_auditentry", "users_auditseal")

FUNCTIONS = """
CREATE FUNCTION users_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('copyportal.may_empty_audit', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'Entries of the audit log are never changed or removed.' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION users_audit_digest(previous text, entry users_auditentry) RETURNS text
LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array('1', previous, entry.id, entry.workspace_id, entry.user_id,
        entry.via, entry.actor, entry.address, entry.action, entry.subject, entry.details,
        entry.occurred_at)::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION users_seal(entry users_auditentry) RETURNS void LANGUAGE plpgsql AS $$
DECLARE last users_auditseal;
BEGIN
    -- taken when nothing else is asked for any more, and given back with the commit
    PERFORM pg_advisory_xact_lock(7240020);
    SELECT * INTO last FROM users_auditseal ORDER BY number DESC LIMIT 1;
    INSERT INTO users_auditseal (number, entry_id, digest) VALUES
        (coalesce(last.number, 0) + 1, entry.id, users_audit_digest(coalesce(last.digest, ''), entry));
END $$;

CREATE FUNCTION users_seal_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM users_seal(NEW);
    RETURN NULL;
END $$;

DO $$
DECLARE entry users_auditentry;
BEGIN
    FOR entry IN SELECT * FROM users_auditentry ORDER BY occurred_at, id LOOP
        PERFORM users_seal(entry);
    END LOOP;
END $$;

CREATE CONSTRAINT TRIGGER seal_audit AFTER INSERT ON users_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION users_seal_audit();
"""
TRIGGERS = """
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION users_keep_audit();
CREATE TRIGGER keep_all_audit BEFORE TRUNCATE ON {0} FOR EACH STATEMENT EXECUTE FUNCTION users_keep_audit();
"""
BACK = """
DROP TRIGGER seal_audit ON users_auditentry;
DROP TRIGGER keep_audit ON users_auditentry;
DROP TRIGGER keep_all_audit ON users_auditentry;
DROP TRIGGER keep_audit ON users_auditseal;
DROP TRIGGER keep_all_audit ON users_auditseal;
DROP FUNCTION users_seal_audit();
DROP FUNCTION users_seal(users_auditentry);
DROP FUNCTION users_audit_digest(text, users_auditentry);
DROP FUNCTION users_keep_audit();
DELETE FROM users_auditseal;
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0010_audit_and_sessions"), ("sessions", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTIONS + "".join(TRIGGERS.format(table) for table in TABLES), BACK),
        # sessions with keys that whoever reads the table could use; their people sign in again
        migrations.RunSQL("DELETE FROM django_session", migrations.RunSQL.noop),
    ]
