"""What the API offers, one module per kind of thing."""
