"""The REST contract: documents, shared copy settings, errors."""
