"""Risk limits: their periods, when they fire, how near they are."""
