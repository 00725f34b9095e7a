"""Lets ``python -m reconciler`` work."""

from reconciler.cli.main import main

if __name__ == "__main__":
    main()
