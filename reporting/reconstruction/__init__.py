"""Decisions of a backend that keeps them to itself, worked out from the mirror by the engine that copies live.

`collecting` makes signals of deals, log lines and what is open; `settings` says which documents were in force;
`expected` asks the engine; `matching` sets what was to be expected beside what was done; `deciding` reads and writes;
`runs` is the standing job. What had to be assumed stands in each decision (`assumptions`).
"""
