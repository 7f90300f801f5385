"""`python -m anymask` is `anymask`."""

from __future__ import annotations

from anymask.cli.app import main

if __name__ == "__main__":
    main()
