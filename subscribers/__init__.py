"""Who copies what, on which terms."""
