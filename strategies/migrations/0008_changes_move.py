"""Changes belong to the app `editing` from now on, which takes the table over as it is (editing.0001_initial)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("strategies", "0007_change_outcomes")]
    operations = [migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Change")])]
