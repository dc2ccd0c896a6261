from django.db import migrations

# the place of every workspace in the queue of accruals, and what its last run said
MOVE = """
INSERT INTO jobs_job (workspace_id, kind, title, origin, key, parameters, cursor, state, is_standing, done, message,
    file, attempts, due_at, created_at, started_at, finished_at, result)
SELECT workspace_id, 'accrual', 'Accrual of commissions', '', 'standing:accrual', '{}',
    jsonb_build_object('position', position), 'queued', TRUE, 0, error, '', 0, due_at, clock_timestamp(), started_at,
    finished_at, jsonb_build_object('text', error, 'is_error', error <> '')
FROM reporting_accrualrun ON CONFLICT DO NOTHING
"""
MOVE_BACK = """
INSERT INTO reporting_accrualrun (workspace_id, due_at, position, started_at, finished_at, error)
SELECT workspace_id, due_at, coalesce(cursor ->> 'position', ''), started_at, finished_at, ''
FROM jobs_job WHERE kind = 'accrual' AND is_standing;
DELETE FROM jobs_job WHERE kind = 'accrual';
"""


class Migration(migrations.Migration):

    dependencies = [("reporting", "0005_terms_since"), ("jobs", "0001_jobs")]

    operations = [migrations.RunSQL(MOVE, MOVE_BACK), migrations.DeleteModel("AccrualRun")]
