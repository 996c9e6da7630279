"""Studies: each is one file, one command, one table or figure. See experiments/README.md."""
