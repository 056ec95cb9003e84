"""``python -m musicfsl`` is the `musicfsl` command."""

from musicfsl.cli import main

raise SystemExit(main())
