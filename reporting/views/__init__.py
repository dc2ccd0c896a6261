"""Pages about what happened and what it cost, a module for each subject."""
