"""``python -m warmstart`` is the ``warmstart`` command."""

import sys

from warmstart.cli import main

if __name__ == "__main__":
    sys.exit(main())
