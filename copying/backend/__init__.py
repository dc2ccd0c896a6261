"""The embedded backend: the REST contract, served by a service that really copies trades."""
