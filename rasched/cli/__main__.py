"""``python -m rasched.cli``: the same as the console script."""

from rasched.cli import main

main()
