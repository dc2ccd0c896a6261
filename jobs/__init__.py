"""Long work that a page can be left for: one row per job, carried out in slices by whichever worker claims it."""
