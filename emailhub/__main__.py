"""`python -m emailhub` is the `emailhub` command."""

from emailhub.cli import main

if __name__ == "__main__":
    main()
