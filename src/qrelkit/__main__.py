"""`python -m qrelkit` is `qrelkit`."""

from qrelkit.cli.main import main

main()
