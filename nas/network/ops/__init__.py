"""The torch modules of ops, stems, heads and joins, each beside the row that says what its name means.

A file imports torch alone. It begins with literals, OPS, STEMS, HEADS or JOINS, that nas.topology.vocabulary reads
without importing the file, and goes on with the classes that the rows name.
"""
