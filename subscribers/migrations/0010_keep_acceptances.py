"""What clients accepted is never changed: only the people may go, the rows of texts and acceptances stay as they were."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION subscribers_keep_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(NEW) - 'set_by_id' - 'user_id') IS DISTINCT FROM (to_jsonb(OLD) - 'set_by_id' - 'user_id')
       OR to_jsonb(NEW) ->> 'user_id' IS NOT NULL AND to_jsonb(NEW) ->> 'user_id' IS DISTINCT FROM to_jsonb(OLD) ->> 'user_id'
    THEN
        RAISE EXCEPTION 'What clients accepted is never changed.' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_text BEFORE UPDATE ON subscribers_agreementtext
    FOR EACH ROW EXECUTE FUNCTION subscribers_keep_text();
CREATE TRIGGER keep_acceptance BEFORE UPDATE ON subscribers_acceptance
    FOR EACH ROW EXECUTE FUNCTION subscribers_keep_text();
"""
BACKWARD = """
DROP TRIGGER keep_text ON subscribers_agreementtext;
DROP TRIGGER keep_acceptance ON subscribers_acceptance;
DROP FUNCTION subscribers_keep_text();
"""


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0009_agreements")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
