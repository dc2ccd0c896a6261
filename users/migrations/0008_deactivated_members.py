from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0007_token_destination")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="deactivated_at",
            field=models.DateTimeField(help_text="Since when the member is shut out; null: is not.", null=True),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                condition=models.Q(("role", "subscriber"), _negated=True),
                fields=("workspace", "user"),
                name="one_staff_role_per_workspace",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                condition=models.Q(("role", "subscriber")),
                fields=("workspace", "user"),
                name="one_client_per_workspace",
            ),
        ),
        migrations.RemoveConstraint(model_name="membership", name="one_role_per_workspace"),
    ]
