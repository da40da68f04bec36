"""Everything that claims to be for GPUs, run on one: `make gpu`, or `python -m benchmarks.card`."""
