"""`python -m emailhub.settings` prints the settings table as it belongs into README.md."""

import sys

from emailhub.settings.describe import markdown

if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
