"""The commands of `nas`: one file for each command, found by nas.cli.entry_point. A new command is a new file here."""
