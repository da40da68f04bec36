"""What a search survives: real searches, real faults at random moments, and an audit of what is recorded.

Claim       Whatever dies, is locked or is full: no trial that has ended is lost or trained again, no candidate is
            recorded as FAIL by no fault of its own, no state is untrue, no process and no temporary file is left.
Conditions  Each search is a process of its own with a Ray of its own (`nas search` of 12 candidates of 0.3 s, two at a
            time, SQLite), in a session of its own. The fault comes at a random moment, in a third of the cases while
            the search or Ray starts, else while candidates are trained; then the search is resumed, and struck again,
            until it ends. Each candidate appends to a file when it begins and when it ends; the audit compares the
            record with that. What is counted, and must be 0, is in benchmarks/faults/audit.py.
Ancestry    Jepsen's method (https://jepsen.io): generate faults, keep an independent history, check it afterwards.

    python -m benchmarks.faults [--only NAME …] [--times N] [--seed 0] [--minutes 60]
"""
