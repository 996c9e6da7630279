"""The words behind every draw as a raw stream, for a battery of tests of randomness.

    python -m benchmarks.words | dieharder -a -k 2 -g 200

Words of products within customers within weeks, in the order in which a simulation asks for them.
"""

from __future__ import annotations

import itertools
import sys

from retail_gym import rng

KEY, CUSTOMERS, PRODUCTS = 20_261_122, 100, 26_176


def main() -> None:
    items = rng.item_hash(PRODUCTS)
    try:
        for week in itertools.count(1):
            for u in range(CUSTOMERS):
                key = rng.stream_key(KEY, week, rng.Stage.NOISE, u)
                sys.stdout.buffer.write(rng.words(key, items).tobytes())
    except BrokenPipeError:
        sys.stderr.close()  # the battery has read enough


if __name__ == "__main__":
    main()
