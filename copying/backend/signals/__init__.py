"""The way of a signal: from its arrival over its routes to copies, and back when it changes or ends."""
