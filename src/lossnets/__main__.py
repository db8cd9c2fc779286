"""``python -m lossnets`` is the ``lossnets`` command."""

import sys

from lossnets.cli import main

if __name__ == "__main__":
    sys.exit(main())
