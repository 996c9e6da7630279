"""``python -m retail_gym.cli``."""

from retail_gym.cli import main

main()
