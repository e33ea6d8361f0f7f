"""``python -m overrefusal`` is the console script."""

from overrefusal.cli import main

main()
