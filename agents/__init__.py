"""Learning agents: one readable file each. Run from the checkout; not part of the wheel."""
