"""The copying backend: contract, client, engine and the embedded service."""
