"""The machine that a result belongs to: what it is, its state, its energy counters, and who has it."""
