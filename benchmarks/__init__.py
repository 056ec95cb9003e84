"""Measurements of speed, memory and accuracy; `README.md` says what each one means."""
