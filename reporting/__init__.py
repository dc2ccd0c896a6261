"""History, analytics, commissions and downloads."""
