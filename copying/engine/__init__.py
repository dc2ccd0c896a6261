"""Pure copying decisions: no Django, no I/O, no clock."""
