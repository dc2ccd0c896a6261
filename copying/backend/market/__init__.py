"""Where prices come from: one port, a replay of recorded quotes and a deterministic market on real daily rates."""
