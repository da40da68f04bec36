"""Fuzz nas: damaged and hostile files and arguments, each in a process and a folder of its own (see __main__)."""
