"""The commands of `musicfsl.cli`, one file each: ``run(arguments)`` does the work and says what to print."""

__all__: list[str] = []
