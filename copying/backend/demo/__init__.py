"""A demo workspace: its documents, its past, and the robots that trade in it."""
