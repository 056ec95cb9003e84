"""Training of zero-shot models; its public names stand in `musicfsl.training`."""
