"""The families of tasks: one file for each kind of data, found by nas.tasks.registry. A new task is a new file here.

A file declares what it offers in a dict TASKS: name → function that makes the task. A function without arguments makes
the task `name`; one whose first argument is a path makes the task `name:PATH?option=value&option=value`. Arguments with
defaults are the options, with or without a path: they are given as strings. A file imports torch, sklearn and pandas
late, if at all.
"""
