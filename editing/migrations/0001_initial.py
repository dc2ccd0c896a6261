"""The model of changes comes from the app of strategies; its table, rows and constraints stay where they are."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import users.secrets


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("strategies", "0008_changes_move"),
        ("users", "0007_token_destination"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Change",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="changes",
                                to="users.workspace",
                            ),
                        ),
                        (
                            "connection",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="changes",
                                to="users.connection",
                            ),
                        ),
                        ("kind", models.CharField(max_length=10)),
                        ("backend_id", models.CharField(max_length=64)),
                        ("name", models.CharField(max_length=200)),
                        (
                            "action",
                            models.CharField(
                                choices=[
                                    ("create", "Created"),
                                    ("change", "Changed"),
                                    ("remove", "Removed"),
                                    ("take-out", "Taken out"),
                                ],
                                default="change",
                                max_length=8,
                            ),
                        ),
                        (
                            "part",
                            models.CharField(
                                blank=True, help_text="Strategy id of the member or subscription.", max_length=64
                            ),
                        ),
                        (
                            "destination",
                            models.CharField(
                                db_default="",
                                default="",
                                help_text="Where the connection led when it was proposed; secrets in it go to no other.",
                                max_length=520,
                            ),
                        ),
                        ("instructions", models.JSONField(default=dict, help_text="Close instructions of a removal.")),
                        ("before", users.secrets.EncryptedJSONField(default=dict)),
                        ("after", users.secrets.EncryptedJSONField(default=dict)),
                        (
                            "notes",
                            models.JSONField(default=list, help_text="What others changed while the form was open."),
                        ),
                        (
                            "problems",
                            models.JSONField(default=list, help_text="What the backend refused at the last attempt."),
                        ),
                        (
                            "form_address",
                            models.CharField(
                                blank=True, help_text="The page of the form, to go back to.", max_length=300
                            ),
                        ),
                        ("summary", models.TextField(blank=True)),
                        (
                            "proposed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("proposed_at", models.DateTimeField()),
                        (
                            "saved_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("saved_at", models.DateTimeField(null=True)),
                        (
                            "outcome",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("", "Not sent"),
                                    ("sending", "Being saved"),
                                    ("unknown", "Not known"),
                                    ("refused", "Refused"),
                                    ("not-done", "Not carried out"),
                                    ("overtaken", "Changed by somebody else"),
                                    ("done", "Carried out"),
                                ],
                                db_default="",
                                default="",
                                max_length=10,
                            ),
                        ),
                        (
                            "sent_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("sent_at", models.DateTimeField(null=True)),
                        (
                            "looked_at",
                            models.DateTimeField(
                                help_text="When the backend was last asked what became of it.", null=True
                            ),
                        ),
                        (
                            "undoes",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="undone_by",
                                to="editing.change",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "strategies_change",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("saved_at__isnull", False)),
                                fields=["connection", "kind", "backend_id", "-saved_at", "-id"],
                                name="saved_change_by_object",
                            ),
                            models.Index(
                                condition=models.Q(("saved_at", None)),
                                fields=["workspace", "proposed_at"],
                                name="change_not_saved",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("outcome__in", ["sending", "unknown"]), ("saved_at", None)),
                                fields=("connection", "kind", "backend_id"),
                                name="one_change_in_flight",
                            )
                        ],
                    },
                ),
            ]
        )
    ]
