"""From a trained module to files that other runtimes run, with proof that they compute the same."""
