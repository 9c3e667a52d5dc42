"""What the recorded runs say: a fold over runs, its estimates, and its text."""
