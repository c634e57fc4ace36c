"""What follows from the samples: figures, verdicts, comparisons, and how results travel."""
