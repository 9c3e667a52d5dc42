"""Whether a success rate is high enough: trial by trial, and on recorded runs."""
