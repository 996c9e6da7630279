"""One shard of a dataset: a block of customers over all weeks, from the recipe and the plan alone.

Given prices, customers know nothing of one another, and what a customer is and decides belongs to
the customer's number. So a shard simulates its own customers, and gets what a simulation of the
whole store would give them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.lineage import FileFacts
from retail_gym.data.plan import Plan, episode_key
from retail_gym.data.recipe import Recipe
from retail_gym.data.star import TableWriter
from retail_gym.data.truth import TruthKeeper
from retail_gym.kernels import Request
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.packed import Packed
from retail_gym.outcome import WeekOutcome
from retail_gym.promotion import Promotion, Shelf, stock
from retail_gym.simulator import Simulator, simulate_weeks
from retail_gym.world.layer_draws import draw_layers
from retail_gym.world.population import (
    Coefficients,
    DrawnCoefficients,
    by_sensitivity,
    draw_coefficients,
    draw_customers,
)
from retail_gym.world.world import World, build_world

Ints = NDArray[np.int64]

__all__ = ["shelves", "write_shard", "write_store"]


class BlockKernel(NumbaKernel):
    """The fast kernel with a block of customers in the store and nobody else.

    What the block does is what it would do anyway; the others cost next to nothing.

    Args:
        block: customer numbers.
    """

    def __init__(self, block: range) -> None:
        super().__init__(threads=1)  # the processes are many
        self.block = block

    def _visits(
        self, world: World, packed: Packed, requests: Sequence[Request], lazy: bool
    ) -> list[Any]:
        found, block = super()._visits(world, packed, requests, lazy), self.block
        assert block is not None
        for visits in found:
            visits.visited[: block.start] = visits.visited[block.stop :] = False
        return found


def draw_block(recipe: Recipe, block: range) -> World:
    """A world in which the customers of a block are those of the store.

    The others up to them are there by number alone: of the household effects only the block's are
    drawn.
    """
    config, seed = recipe.config.override(n_customers=block.stop), recipe.world_seed
    catalog = build_world(config.override(n_customers=1), seed)
    everybody = np.arange(block.stop)
    try:  # drawn when they are needed, where their priors allow: little memory, no time to begin
        pairs: Coefficients | DrawnCoefficients = DrawnCoefficients(config, seed)
    except ValueError:
        pairs = draw_coefficients(config, seed, everybody, config.n_products)
    return replace(
        catalog,
        theta=draw_customers(config.prior("theta"), seed, "theta", everybody),
        beta_u=draw_customers(config.prior("beta_u"), seed, "beta_u", everybody),
        coefficients=pairs,
        layers=draw_layers(config, seed, np.asarray(block)),
        stored_reward_scale=None,
    )


def segment_of_customers(recipe: Recipe, world: World) -> Ints:
    """Segment of every customer of the store, shape (U,)."""
    config = recipe.config
    segment_u = np.zeros(config.n_customers, dtype=np.int64)
    if recipe.segments > 1:
        everybody = np.arange(config.n_customers)
        beta_u = draw_customers(config.prior("beta_u"), recipe.world_seed, "beta_u", everybody)
        ordered = by_sensitivity(world.c, beta_u, world.beta_i)
        for s, customers in enumerate(np.array_split(ordered, recipe.segments)):
            segment_u[customers] = s
    return segment_u


def shelves(recipe: Recipe, plan: Plan, world: World) -> Iterator[tuple[int, Shelf]]:
    """Week by week what is on offer: discounts, prices and their logs, shape (1, S, I)."""
    promotion = Promotion(world.n_products, episode_key(recipe.seed), recipe.segments)
    for week, plans in enumerate(plan.weeks, start=1):
        yield week, stock(
            [promotion], [plans], [week], world.base_price, world.log_base_price,
            world.lowest_price,
        )  # fmt: skip


def write_shard(recipe: Recipe, plan: Plan, folder: Path, shard: int) -> list[FileFacts]:
    """Simulate a shard and write its files.

    Args:
        recipe: of the dataset.
        plan: what the policy decided.
        folder: of the dataset.
        shard: number of the shard.

    Returns:
        What was written.

    Raises:
        OSError: if the folder cannot be written to or is full.
    """
    customers = recipe.customers(shard)
    world, key = draw_block(recipe, customers), episode_key(recipe.seed)
    segment_u = segment_of_customers(recipe, world)[: world.n_customers]
    groups = [np.flatnonzero(segment_u == s) for s in range(recipe.segments)]
    simulator = Simulator(world, key, groups, BlockKernel(customers))
    number_u = np.arange(customers.start, customers.stop)
    with TableWriter(folder, recipe.hash, recipe.tables(sharded=True), shard) as out:
        out.add("customers", customer=number_u, segment=segment_u[number_u])
        truth = None
        if recipe.truth is not None:
            truth = TruthKeeper(recipe, world, number_u, segment_u)
            truth.write_customers(out)
        for week, shelf in shelves(recipe, plan, world):
            (outcome,) = simulate_weeks([simulator], shelf)
            out.add("visits", week=week, customer=number_u, visited=outcome.visited[number_u])
            add_lines(out, outcome, customers)
            if truth is not None:
                truth.add_week(out, week, shelf, outcome)
    return [FileFacts.of(folder, path, rows) for path, rows in out.rows.items()]


def add_lines(out: TableWriter, outcome: WeekOutcome, customers: range) -> None:
    """Add a week's purchases of the shard's customers."""
    lines = outcome.lines
    cut = np.searchsorted(lines.customer, [customers.start, customers.stop])  # they are sorted
    part = slice(*cut)
    out.add(
        "transactions",
        week=outcome.week,
        customer=lines.customer[part],
        category=lines.category[part],
        product=lines.product[part],
        quantity=lines.quantity[part],
        unit_price=outcome.unit_price[part],
        discount=outcome.line_discount[part],
        base_price=outcome.base_price[part],
        revenue=outcome.line_revenue[part],
    )


def write_store(recipe: Recipe, plan: Plan, folder: Path) -> list[FileFacts]:
    """Write the tables that belong to the store: products, prices; see :func:`write_shard`."""
    world = build_world(recipe.config.override(n_customers=1), recipe.world_seed)
    products = np.arange(world.n_products)
    with TableWriter(folder, recipe.hash, recipe.tables(sharded=False)) as out:
        out.add(
            "products",
            product=products,
            category=world.category_of_product,
            base_price=world.base_price,
        )
        if (names := recipe.category_names) is not None:
            out.add("categories", category=np.arange(len(names)), category_name=names)
        for week, shelf in shelves(recipe, plan, world):
            for s in range(recipe.segments):
                price = shelf.price[0, s]
                out.add(
                    "prices",
                    week=week,
                    segment=s,
                    product=products,
                    price=price,
                    discount=1.0 - price / world.base_price,
                    promoted=shelf.discount[0, s] > 0.0,
                )
        if recipe.truth is not None:
            category = world.category_of_product
            out.add(
                "truth_products",
                product=products,
                quality=world.z,
                price_factor=world.beta_i,
                quantity_rate=world.gamma_prod_0,
                category_utility=world.gamma_cate_0[category],
                category_weight=world.gamma_cate_1[category],
            )
    return [FileFacts.of(folder, path, rows) for path, rows in out.rows.items()]
