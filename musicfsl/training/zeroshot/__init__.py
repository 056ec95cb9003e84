"""Training of zero-shot models; its public names stand in `musicfsl.training`."""

__all__: list[str] = []
