"""The HTTP side of the embedded backend: the vendor's contract and what is documented beyond it, over the core."""

from copying.backend.http.application import create_app

__all__ = ["create_app"]
