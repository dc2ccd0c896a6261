"""What people set: documents, nesting of portfolios, consent, news, commissions, sealed secrets."""
