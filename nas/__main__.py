"""`python -m nas` is the command line `nas`."""

from nas.cli import main

main()
