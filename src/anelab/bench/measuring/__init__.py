"""How arms are timed: gates, worker processes, blocks, clocks."""
