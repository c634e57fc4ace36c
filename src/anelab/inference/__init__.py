"""What is done with a trained model: open it, ask it, score reads by it."""
