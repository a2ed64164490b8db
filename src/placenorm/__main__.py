"""`python -m placenorm`: the command line."""

from placenorm.cli.main import main

main()
