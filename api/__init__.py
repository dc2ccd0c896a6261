"""The REST API for programs (`/api/v1/`), its access tokens, and the pages on which people make and end them."""
