"""The neural generators: what they learn, that training can stop and go on, and privacy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retail_gym.data import Transactions, read_transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.realism.lift import pair_lifts
from retail_gym.generators import load
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf
from tests.generators.conftest import WEEKS

torch = pytest.importorskip("torch")

from retail_gym.generators import GAN, VAE, GANConfig, Privacy, PrivateGAN, VAEConfig  # noqa: E402
from retail_gym.generators.networks import step_rng, train  # noqa: E402
from retail_gym.generators.private import (  # noqa: E402
    RELEASES,
    clipped_gradient,
    epsilon_of,
    noise_for,
    release,
)
from retail_gym.generators.stock import (  # noqa: E402
    bought_together,
    on_the_shelf,
    stock_embedding,
)

SMALL_VAE = VAEConfig(latent=2, hidden=24, steps=500, batch=128, rate=5e-3)
SMALL_GAN = GANConfig(
    noise=4, hidden=24, critic_hidden=24, steps=700, critic_steps=4, batch=100, rate=2e-3
)
private = pytest.mark.skipif(
    find_spec("opacus") is None, reason="needs opacus (extra generators) for the accountant"
)
QUICK: dict[type, dict[str, Any]] = {
    VAE: {"config": VAEConfig(latent=2, hidden=8, steps=6, batch=16)},
    GAN: {
        "config": GANConfig(noise=2, hidden=8, critic_hidden=8, steps=6, critic_steps=1, batch=16)
    },
    PrivateGAN: {
        "config": GANConfig(noise=2, hidden=8, critic_hidden=8, steps=6, critic_steps=1, batch=40)
    },
}


def lift(table: Transactions) -> float:
    return float(pair_lifts(trips_of(table)).lift_jk[0, 1])


@pytest.mark.parametrize(("kind", "config"), [(VAE, SMALL_VAE), (GAN, SMALL_GAN)])
def test_it_learns_shares_and_the_association(
    kind: Any, config: object, planted: Transactions
) -> None:
    table = kind.fit(planted, seed=1, config=config).sample(1500, seed=1)
    baskets, real = trips_of(table), trips_of(planted)
    share = baskets.trips_of_category / baskets.n_trips
    np.testing.assert_allclose(share, real.trips_of_category / real.n_trips, atol=0.08)
    # Planted 1.82; independent categories have 1.
    assert lift(planted) > 1.7
    assert lift(table) == pytest.approx(lift(planted), abs=0.3)
    # What is not associated stays so.
    others = pair_lifts(baskets).lift_jk[[0, 0, 1, 3], [3, 4, 4, 4]]
    np.testing.assert_allclose(others, 1.0, atol=0.2)


@pytest.mark.parametrize("kind", [VAE, GAN, pytest.param(PrivateGAN, marks=private)])
def test_same_seed_same_generator_and_a_file_keeps_it(
    kind: Any, planted: Transactions, tmp_path: Path
) -> None:
    one, other = (kind.fit(planted, seed=2, **QUICK[kind]) for _ in range(2))
    table = one.sample(40, seed=1).frame
    assert table.equals(other.sample(40, seed=1).frame)
    assert not table.equals(kind.fit(planted, seed=3, **QUICK[kind]).sample(40, seed=1).frame)
    one.save(tmp_path / "g.npz")
    again = load(tmp_path / "g.npz")
    assert type(again) is kind
    assert again.sample(40, seed=1).frame.equals(table)
    if kind is PrivateGAN:
        assert (again.epsilon, again.delta) == (one.epsilon, one.delta)


@pytest.mark.parametrize("kind", [VAE, GAN, pytest.param(PrivateGAN, marks=private)])
def test_training_goes_on_where_it_stopped(
    kind: Any, planted: Transactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_gym.generators.networks.KEEP_EVERY", 2)
    file, saves = tmp_path / "run.pt", 0
    whole = kind.fit(planted, seed=2, **QUICK[kind]).sample(40, seed=1).frame
    save = torch.save

    def stop(*args: Any) -> None:
        nonlocal saves
        save(*args)
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        kind.fit(planted, seed=2, checkpoint=file, **QUICK[kind])
    monkeypatch.setattr(torch, "save", save)
    state = torch.load(file, weights_only=True)
    assert state["step"] == 2  # the second was not complete
    again = kind.fit(planted, seed=2, checkpoint=file, **QUICK[kind])
    assert again.sample(40, seed=1).frame.equals(whole)
    with pytest.raises(ValueError, match="another table, seed or configuration"):
        kind.fit(planted, seed=3, checkpoint=file, **QUICK[kind])
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"run.pt is damaged.*delete it"):
        kind.fit(planted, seed=2, checkpoint=file, **QUICK[kind])


def test_training_that_diverges_says_so() -> None:
    network = torch.nn.Linear(1, 1)

    def update(step: int) -> None:
        with torch.no_grad():
            network.weight.fill_(float("nan"))

    with pytest.raises(FloatingPointError, match=r"weights of the critic.*lower the learning rate"):
        train({"critic": network}, 1, update, settings="")


def test_random_numbers_are_those_of_the_step() -> None:
    draws = [torch.rand(3, generator=step_rng(*key)) for key in ((0, 1), (0, 1), (0, 2), (1, 1))]
    assert torch.equal(draws[0], draws[1])
    assert not any(torch.equal(draws[0], other) for other in draws[2:])


def without_tea(table: Transactions, weeks: tuple[int, ...]) -> Transactions:
    frame = table.frame.filter(
        ~((pl.col("category") == "tea") & pl.col("week").is_in(weeks)) | (pl.col("customer") < 0)
    )
    return read_transactions(frame, customers=range(table.n_customers), weeks=WEEKS)


def test_gan_never_chooses_what_is_not_on_the_shelf(planted: Transactions) -> None:
    table = without_tea(planted, (3, 4))
    sampled = GAN.fit(table, **QUICK[GAN]).sample(300, seed=0).frame
    tea = sampled.filter(pl.col("category") == "tea")
    assert tea.height > 100
    assert not set(tea["week"]) & {3, 4}
    # The VAE does not know the stock.
    free = VAE.fit(table, **QUICK[VAE]).sample(300, seed=0).frame
    assert set(free.filter(pl.col("category") == "tea")["week"]) >= {3, 4}


def test_stock_embedding_sees_what_left_the_shelf(planted: Transactions) -> None:
    table = without_tea(planted, (5,))
    records = Records.of(table)
    shelf = Shelf.fit(table, records)
    for products in (bought_together(records, shelf), on_the_shelf(shelf, 0)):
        plain, weighted = (
            stock_embedding(shelf, products, weights, WEEKS)
            for weights in ("unweighted", "weighted")
        )
        assert np.abs(plain).max(axis=1).argmax() == 4
        others = np.delete(plain, 4, axis=0)
        np.testing.assert_allclose(others, np.broadcast_to(others[0], others.shape), atol=1e-9)
        # Weighted, the weeks around it see a product that is available less often.
        assert np.abs(weighted[3] - weighted[0]).max() > 0.01
        np.testing.assert_allclose(weighted[0], weighted[11], atol=1e-9)


def test_products_bought_together_are_close(planted: Transactions) -> None:
    records = Records.of(planted)
    product = bought_together(records, Shelf.fit(planted, records))
    unit = product / np.linalg.norm(product, axis=1, keepdims=True)
    # Products of one category meet the same other categories.
    assert (unit[0] @ unit[1]) > 0.9
    assert (unit[0] @ unit[1]) > (unit[0] @ unit[10])


# --- privacy ------------------------------------------------------------------------------------


@private
def test_epsilon_agrees_with_a_published_value() -> None:
    # Abadi et al. 2016, section 3.2: q = 0.01, sigma = 4, delta = 1e-5, 10,000 steps: the moments
    # accountant's bound is 1.26. Opacus' conversion of the same divergences is tighter.
    from opacus.accountants.analysis.rdp import compute_rdp

    orders = list(range(2, 65))
    divergence = compute_rdp(q=0.01, noise_multiplier=4.0, steps=10_000, orders=orders)
    moments = min(divergence + np.log(1e5) / (np.array(orders) - 1))
    assert moments == pytest.approx(1.26, abs=0.005)
    assert 0.9 < epsilon_of([(4.0, 0.01, 10_000)], 1e-5) < 1.26


@private
def test_epsilon_of_the_gaussian_mechanism() -> None:
    # Exact (Balle and Wang 2018): delta = Phi(1/2s - e s) - exp(e) Phi(-1/2s - e s); the
    # accountant bounds it from above, and five at s are one at s / sqrt(5).
    from scipy.optimize import brentq
    from scipy.stats import norm

    s = 10.0 / np.sqrt(5.0)

    def excess(e: float) -> float:
        a = norm.cdf(0.5 / s - e * s) - np.exp(e) * norm.cdf(-0.5 / s - e * s)
        return float(a - 1e-4)

    exact = brentq(excess, 0.0, 50.0)
    ours = epsilon_of([(10.0, 1.0, RELEASES)], 1e-4)
    assert exact < ours < 1.25 * exact


@private
def test_noise_is_the_least_that_keeps_epsilon() -> None:
    privacy = Privacy(epsilon=4.0)
    noise = noise_for(privacy, 0.1, 200)

    def spent(sigma: float) -> float:
        return epsilon_of([(sigma, 0.1, 200), (privacy.count_noise, 1.0, RELEASES)], privacy.delta)

    assert spent(noise) <= 4.0 < spent(noise / 1.02)
    with pytest.raises(ValueError, match="raise epsilon or count_noise"):
        noise_for(Privacy(epsilon=0.1, count_noise=1.0), 0.1, 10)


def linear(weights: dict[str, Any], x: Any) -> Any:
    return (weights["w"] * x).sum()


def test_one_record_moves_the_gradient_by_at_most_the_clip() -> None:
    weights = {"w": torch.zeros(3)}
    x = torch.tensor([[100.0, 0.0, 0.0], [0.1, 0.2, 0.0], [0.0, -50.0, 3.0]])
    rng = torch.Generator().manual_seed(0)
    all_three = clipped_gradient(linear, weights, [x], 2.0, 0.0, 10.0, rng)["w"]
    for k in range(3):
        rest = torch.cat([x[:k], x[k + 1 :]])
        without = clipped_gradient(linear, weights, [rest], 2.0, 0.0, 10.0, rng)["w"]
        moved = float((all_three - without).norm()) * 10.0
        assert moved == pytest.approx(min(2.0, float(x[k].norm())), rel=1e-5)
    none = clipped_gradient(linear, weights, [x[:0]], 2.0, 0.0, 10.0, rng)["w"]
    assert torch.equal(none, torch.zeros(3))


def test_the_gradients_noise_has_its_size() -> None:
    # 20,000 normals: the standard error of their sd is 0.5 %.
    weights = {"w": torch.zeros(20_000)}
    rng = torch.Generator().manual_seed(1)
    found = clipped_gradient(linear, weights, [torch.zeros(2, 20_000)], 3.0, 1.5, 5.0, rng)["w"]
    assert float(found.std()) == pytest.approx(3.0 * 1.5 / 5.0, rel=0.03)


def test_one_household_moves_a_count_by_at_most_one(
    planted: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums: list[np.ndarray] = []

    def spy(vectors: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        sums.append((vectors / np.maximum(length, 1.0)).sum(axis=0))
        return np.asarray(sums[-1])

    monkeypatch.setattr("retail_gym.generators.private._noised", spy)
    everybody = Records.of(planted)
    shelf = Shelf.fit(planted, everybody)
    rng = np.random.default_rng(0)
    release(everybody, shelf, 10.0, rng)
    assert len(sums) == RELEASES
    for left_out in (0, 1, 17):
        sums.clear()
        release(everybody, shelf, 10.0, rng)
        rest = planted.select(np.delete(planted.customers, left_out))
        release(Records.of(rest), shelf, 10.0, rng)
        whole, without = sums[:RELEASES], sums[RELEASES:]
        moved = [float(np.linalg.norm(a - b)) for a, b in zip(whole, without, strict=True)]
        assert max(moved) <= 1.0 + 1e-9
        assert min(moved) > 0.0


def test_released_counts_are_near_the_true_ones_and_noised(planted: Transactions) -> None:
    records = Records.of(planted)
    shelf = Shelf.fit(planted, records)
    calendar, public, share = release(records, shelf, 2.0, np.random.default_rng(0))
    np.testing.assert_allclose(share, records.bought_kj.mean(axis=0), atol=0.1)
    assert np.abs(share - records.bought_kj.mean(axis=0)).min() > 1e-6
    # A quarter of the noise of one count in 400 households.
    np.testing.assert_allclose(calendar.week_t, 1 / WEEKS, atol=0.04)
    assert set(public.weight_o) == {1.0}
    two = public.units_jq[0, 1] / public.units_jq[0].sum()
    assert two == pytest.approx(float((planted.frame["quantity"] == 2).mean()), abs=0.06)


@private
def test_private_gan_states_its_guarantee(planted: Transactions) -> None:
    generator = PrivateGAN.fit(
        planted, privacy=Privacy(epsilon=3.0, delta=1e-3), **QUICK[PrivateGAN]
    )
    assert 2.5 < generator.epsilon <= 3.0
    assert generator.delta == 1e-3
    assert generator.calendar.correlation_ff.shape == (1, 1)


def test_bad_input_is_refused(planted: Transactions) -> None:
    with pytest.raises(ValueError, match="choose from unweighted, weighted"):
        GANConfig(stock="heavy")
    with pytest.raises(ValueError, match="steps must be at least 1"):
        VAEConfig(steps=0)
    with pytest.raises(ValueError, match=r"rate must be a finite number"):
        GANConfig(rate=float("nan"))
    with pytest.raises(ValueError, match="epsilon"):
        Privacy(epsilon=0.0)
    with pytest.raises(ValueError, match=r"batch of at most as many \(got 1000\)"):
        PrivateGAN.fit(planted, config=GANConfig(batch=1000))
    with pytest.raises(ValueError, match=r"delta below 0.0025"):
        PrivateGAN.fit(planted, config=GANConfig(batch=40), privacy=Privacy(delta=0.01))
