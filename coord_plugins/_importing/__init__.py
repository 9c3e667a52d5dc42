"""Outcomes that other tools measured: files of runs, read and put into a store."""
