"""What others measured, as they published it: a kind of its own, never mixed with what was measured here."""
