"""Instruments as data: specifications that are usual at brokers, for the paper broker and whoever has no other."""
