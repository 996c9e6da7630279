"""Conformance files: every output, every way to fail, and a whole store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retail_gym import World, conformance, simulate
from retail_gym.cli import app, main
from retail_gym.policies import Planned

DATA = Path(__file__).parent / "data"
OUTPUTS = (
    "price", "price_paid", "utility_unclipped", "utility", "category_value",
    "product_probability", "category_probability", "store_value", "visit_probability",
    "purchase_rate", "elasticity_store", "elasticity_category", "elasticity_product",
    "elasticity_quantity", "elasticity_overall",
)  # fmt: skip
RUNS = 6


def run(capsys, *arguments):
    """Run the command line; exit status, lines of output, text of errors."""
    with pytest.raises(SystemExit) as done:
        main(lambda: app([str(a) for a in ("conformance", *arguments)]))
    captured = capsys.readouterr()
    return int(done.value.code or 0), captured.out.splitlines(), captured.err


@pytest.fixture
def arrays(equations):
    return dict(equations)


def without_outputs(arrays):
    return {name: array for name, array in arrays.items() if name not in OUTPUTS}


def write(path, arrays):
    np.savez(path, **arrays)
    return path


def test_reference_file_passes(capsys) -> None:
    code, lines, _ = run(capsys, DATA / "equations_a.npz")
    assert code == 0
    assert lines[-1] == "PASS"
    assert [line.split()[0] for line in lines[:-1]] == list(OUTPUTS)
    for line in lines[:-1]:
        assert float(line.split()[1]) <= 1e-9
        assert line.split()[2] == "ok"


def moved(arrays, name: str, share: float):
    """The largest entry of an expected array moved by a share of itself."""
    array = arrays[name].copy()
    array.flat[np.abs(array).argmax()] *= 1.0 + share
    return arrays | {name: array}


@pytest.mark.parametrize("share", [1e-6, -1e-6, 1e-8])
@pytest.mark.parametrize("name", OUTPUTS)
def test_one_entry_off_fails_that_output_alone(arrays, name: str, share: float) -> None:
    checks, _ = conformance.check_equations(moved(arrays, name, share))
    assert [check.name for check in checks if not check.passed] == [name]
    assert len(checks) == len(OUTPUTS)
    (failed,) = (check for check in checks if not check.passed)
    # |gap| / (|expected| + mean |expected|), and the mean is at most the largest.
    assert 0.4 * abs(share) < failed.error < 1.01 * abs(share)


@pytest.mark.parametrize("name", OUTPUTS)
def test_one_entry_off_by_less_than_the_tolerance_passes(arrays, name: str) -> None:
    checks, _ = conformance.check_equations(moved(arrays, name, 1e-10))
    assert all(check.passed for check in checks)


def test_tolerance_of_small_entries_is_that_of_the_mean(arrays) -> None:
    # |ours - expected| <= 1e-9 (|expected| + mean |expected|): an entry near 0 may be off by
    # 1e-9 of the mean, not by more.
    expected = arrays["product_probability"]
    k, mean = expected.argmin(), expected.mean()
    for gap, passes in ((0.5e-9 * mean, True), (3e-9 * mean, False)):
        changed = expected.copy()
        changed.flat[k] += gap
        checks, _ = conformance.check_equations(arrays | {"product_probability": changed})
        assert all(check.passed for check in checks) is passes


def test_failure_exits_1_and_names_the_output(arrays, capsys, tmp_path) -> None:
    file = write(tmp_path / "off.npz", moved(arrays, "store_value", 1e-6))
    code, lines, _ = run(capsys, file)
    assert code == 1
    assert lines[-1] == "FAIL"
    assert [line.split()[0] for line in lines if line.endswith("FAIL")][:-1] == ["store_value"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_expected_numbers_that_are_not_finite_fail(arrays, value: float) -> None:
    changed = arrays["utility"].copy()
    changed[0, 0] = value
    checks, _ = conformance.check_equations(arrays | {"utility": changed})
    assert "utility" in [check.name for check in checks if not check.passed]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_outputs_that_are_not_finite_fail(arrays) -> None:
    changed = arrays["X"].copy()
    changed[0, 0] = np.nan
    checks, _ = conformance.check_equations(arrays | {"X": changed})
    failed = {check.name for check in checks if not check.passed}
    assert {"utility_unclipped", "utility", "category_value"} <= failed
    assert not failed & {"price", "price_paid"}


def test_wrong_shape_fails(arrays) -> None:
    changed = arrays | {"price_paid": arrays["price_paid"][:1], "price": arrays["price"][:-1]}
    checks, _ = conformance.check_equations(changed)
    assert [check.name for check in checks if not check.passed] == ["price", "price_paid"]


def test_only_the_expected_arrays_there_are_are_checked(arrays, capsys, tmp_path) -> None:
    kept = ("utility", "visit_probability")
    some = without_outputs(arrays) | {name: arrays[name] for name in kept}
    code, lines, _ = run(capsys, write(tmp_path / "some.npz", some))
    assert (code, lines[-1]) == (0, "PASS")
    assert [line.split()[0] for line in lines[:-1]] == list(kept)


def test_inputs_alone_are_computed(arrays, capsys, tmp_path) -> None:
    file = write(tmp_path / "inputs.npz", without_outputs(arrays))
    out = tmp_path / "deep" / "out.npz"
    code, lines, _ = run(capsys, file, "--out", out)
    assert (code, lines) == (0, ["COMPUTED"])
    with np.load(out) as written:
        assert sorted(written.files) == sorted(OUTPUTS)
        for name in OUTPUTS:
            expected = arrays[name]
            assert written[name].shape == expected.shape
            assert written[name].dtype == np.float64
            gap = np.abs(written[name] - expected)
            assert (gap <= 1e-9 * (np.abs(expected) + np.abs(expected).mean())).all(), name


def test_outputs_written_are_ours_even_where_the_file_expects_others(
    arrays, capsys, tmp_path
) -> None:
    file = write(tmp_path / "off.npz", moved(arrays, "price", 0.5))
    assert run(capsys, file, "--out", tmp_path / "out.npz")[0] == 1
    with np.load(tmp_path / "out.npz") as written:
        assert written["price"] == pytest.approx(arrays["price"], rel=1e-12)


def test_alpha_is_not_needed_where_base_prices_are_given(arrays) -> None:
    checks, _ = conformance.check_equations(
        {name: a for name, a in arrays.items() if name not in ("alpha_0", "alpha_1")}
    )
    assert all(check.passed for check in checks)


def test_coupons_weigh_on_the_store_term_where_marketing_is_per_customer(arrays) -> None:
    inputs = without_outputs(arrays)
    feature = float(np.mean(inputs["marketing_feature"]))
    n = arrays["beta_u"].size
    one = conformance.equations(inputs | {"marketing_feature": np.array(feature)})
    each = conformance.equations(inputs | {"marketing_feature": np.full(n, feature)})
    coupon = arrays["coupon"]
    assert coupon.max() > 0
    assert each["visit_probability"] == pytest.approx(one["visit_probability"])
    assert each["elasticity_store"] == pytest.approx(
        one["elasticity_store"] * (1 - coupon)[:, None]
    )
    boxed = conformance.equations(inputs | {"marketing_feature": np.array([feature])})
    assert boxed["elasticity_store"] == pytest.approx(one["elasticity_store"])


def test_other_stores_pass_their_own_outputs_and_not_anothers(arrays, capsys, tmp_path) -> None:
    # A held-out file: other numbers, no cap, a lone product in every category.
    rng = np.random.default_rng(0)
    inputs = without_outputs(arrays)
    sizes = np.ones(110, dtype=np.int64)
    other = inputs | {
        "category_sizes": sizes,
        "gamma_cate_0": rng.normal(-1, 1, 110),
        "gamma_cate_1": rng.uniform(0, 0.1, 110),
        "clip_percentile": np.array(100.0),
        "discount": rng.uniform(0, 0.6, 110),
    }
    out = conformance.equations(other)
    assert np.array_equal(out["utility"], out["utility_unclipped"])
    assert (out["elasticity_product"] == 0.0).all()  # exactly
    assert out["product_probability"] == pytest.approx(np.ones((12, 110)))
    assert run(capsys, write(tmp_path / "own.npz", other | out))[0] == 0
    assert run(capsys, write(tmp_path / "mixed.npz", inputs | out))[0] == 1


@pytest.mark.parametrize("name", sorted(conformance.INPUTS))
def test_missing_input_is_named(arrays, name: str) -> None:
    del arrays[name]
    with pytest.raises(ValueError, match=f"lacks {name}$"):
        conformance.equations(arrays)


def test_missing_input_exits_2_with_one_line(arrays, capsys, tmp_path) -> None:
    del arrays["theta"], arrays["X"]
    code, lines, errors = run(capsys, write(tmp_path / "lacking.npz", arrays))
    assert (code, lines) == (2, [])
    assert errors == "error: the equation file lacks theta, X\n"


def truncated(folder: Path) -> Path:
    content = (DATA / "equations_a.npz").read_bytes()
    (folder / "cut.npz").write_bytes(content[: len(content) // 2])
    return folder / "cut.npz"


def flipped(folder: Path) -> Path:
    content = bytearray((DATA / "equations_a.npz").read_bytes())
    content[5000:5040] = bytes(40)
    (folder / "flipped.npz").write_bytes(content)
    return folder / "flipped.npz"


def text(folder: Path) -> Path:
    (folder / "text.npz").write_text("not numbers")
    return folder / "text.npz"


def pickled(folder: Path) -> Path:
    np.savez(folder / "pickled.npz", X=np.array([{"a": 1}], dtype=object))
    return folder / "pickled.npz"


def empty(folder: Path) -> Path:
    (folder / "empty.npz").touch()
    return folder / "empty.npz"


@pytest.mark.parametrize("make", [truncated, flipped, text, pickled, empty])
def test_damaged_file_exits_2_with_one_line(make, capsys, tmp_path) -> None:
    file = make(tmp_path)
    code, _, errors = run(capsys, file)
    assert code == 2
    assert errors.count("\n") == 1
    assert str(file) in errors
    assert "damaged" in errors


@pytest.mark.parametrize("name", ["nothing.npz", "."])
def test_absent_file_exits_2_with_one_line(name: str, capsys, tmp_path) -> None:
    code, _, errors = run(capsys, tmp_path / name)
    assert code == 2
    assert errors == f"error: no file at {tmp_path / name}\n"


# The store of market_III. One simulation of RUNS seeds serves every test here.


@pytest.fixture(scope="module")
def market():
    with np.load(DATA / "market_III.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def expected():
    return json.loads((DATA / "market_III.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def figures(market):
    world = World.from_arrays(market)
    policy = Planned(world.promotion)
    return [simulate(world, policy, weeks=53, seed=seed) for seed in range(RUNS)]


@pytest.fixture
def recorded(figures, monkeypatch):
    """Hands out the runs already made instead of making them again."""
    asked = []

    def give(world, policy, weeks, seed, kernel):
        assert (weeks, kernel) == (53, None)
        assert policy == Planned(world.promotion)
        asked.append(seed)
        return figures[seed]

    monkeypatch.setattr(conformance, "simulate", give)
    return asked


def test_market_passes_on_few_runs(market, expected, recorded) -> None:
    # 9 figures at 4 standard errors: a false alarm has probability below 1e-3, less with the
    # 1.5 % of slack.
    steps = []
    checks = conformance.check_market(market, expected, RUNS, step=lambda: steps.append(1))
    assert [check.name for check in checks] == expected["names"]
    assert all(check.passed for check in checks), checks
    assert recorded == list(range(RUNS))
    assert len(steps) == RUNS


def test_market_checks_are_means_and_standard_errors(market, expected, recorded, figures) -> None:
    checks = conformance.check_market(market, expected, RUNS)
    for check, target, error in zip(
        checks, expected["mean"], expected["standard_error"], strict=True
    ):
        values = [run.metrics[check.name] for run in figures]
        ours = np.std(values, ddof=1) / np.sqrt(RUNS)
        assert check.measured == pytest.approx(np.mean(values))
        assert check.expected == target
        assert check.error == pytest.approx(
            (np.mean(values) - target) / np.sqrt(ours**2 + error**2)
        )


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_market_fails_where_the_expected_values_are_moved(
    market, expected, recorded, sign: float
) -> None:
    for k, name in enumerate(expected["names"]):
        mean = list(expected["mean"])
        # 6 runs know the retention of 60 customers to 2 %, everything else much better.
        mean[k] *= 1.0 + sign * (0.3 if name.startswith("retention") else 0.1)
        checks = conformance.check_market(market, expected | {"mean": mean}, RUNS)
        assert [check.name for check in checks if not check.passed] == [name]


def test_market_allows_1_5_percent_however_small_the_errors(market, expected, recorded, figures):
    exact = [float(np.mean([run.metrics[n] for run in figures])) for n in expected["names"]]
    tight = expected | {"standard_error": [0.0] * 9}
    for share, passes in ((0.014, True), (0.2, False)):
        moved = [value * (1 + share) for value in exact]
        checks = conformance.check_market(market, tight | {"mean": moved}, RUNS)
        assert {check.passed for check in checks} == {passes}


def test_market_command_prints_and_passes(recorded, capsys) -> None:
    code, lines, _ = run(
        capsys, DATA / "market_III.npz", "--market", DATA / "market_III.json", "--runs", RUNS
    )
    assert (code, lines[-1]) == (0, "PASS")
    assert len(lines) == 10
    name, measured, target, sigmas, unit, verdict = lines[0].split()
    assert (name, unit, verdict) == ("units", "se", "ok")
    assert float(target) == pytest.approx(7766.82, rel=1e-5)
    assert float(measured) == pytest.approx(7766.82, rel=0.02)
    assert abs(float(sigmas)) < 4


def test_market_command_fails_on_moved_values(expected, recorded, capsys, tmp_path) -> None:
    mean = [value * 1.1 for value in expected["mean"]]
    (tmp_path / "moved.json").write_text(json.dumps(expected | {"mean": mean}))
    code, lines, _ = run(
        capsys, DATA / "market_III.npz", "--market", tmp_path / "moved.json", "--runs", RUNS
    )
    assert (code, lines[-1]) == (1, "FAIL")
    verdicts = {line.split()[0]: line.split()[-1] for line in lines[:-1]}
    assert [name for name, verdict in verdicts.items() if verdict == "ok"] in (
        [], ["retention"], ["retention_3w"], ["retention", "retention_3w"]
    )  # fmt: skip


@pytest.mark.slow
def test_market_passes_on_40_runs(market, expected) -> None:
    checks = conformance.check_market(market, expected)
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[1, 2]", "must hold a JSON object"),
        ('{"names": []}', "lacks mean, standard_error"),
    ],
)
def test_bad_expectations_exit_2_with_one_line(content, message, capsys, tmp_path) -> None:
    (tmp_path / "bad.json").write_text(content, encoding="latin-1")
    code, _, errors = run(capsys, DATA / "market_III.npz", "--market", tmp_path / "bad.json")
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


def test_absent_expectations_exit_2(capsys, tmp_path) -> None:
    code, _, errors = run(capsys, DATA / "market_III.npz", "--market", tmp_path / "no.json")
    assert code == 2
    assert f"no file at {tmp_path / 'no.json'}" in errors


@pytest.fixture
def no_simulation(monkeypatch):
    """Bad expectations are found before minutes of simulation, not after."""
    monkeypatch.setattr(conformance, "simulate", lambda *a, **k: pytest.fail("simulated first"))


def test_unknown_figure_is_an_error_with_the_choices(market, expected, no_simulation) -> None:
    names = ["profit", *expected["names"][1:]]
    with pytest.raises(ValueError, match=r"unknown figure 'profit'.*units, revenue"):
        conformance.check_market(market, expected | {"names": names}, 2)


@pytest.mark.parametrize("key", ["names", "mean", "standard_error"])
def test_lists_of_unequal_length_are_an_error(market, expected, no_simulation, key: str) -> None:
    with pytest.raises(ValueError, match="names, mean and standard_error"):
        conformance.check_market(market, expected | {key: expected[key][:-1]}, 2)


def test_store_without_promotion_process_is_an_error(market, expected, no_simulation) -> None:
    other = {name: a for name, a in market.items() if name != "discount_alpha_beta"}
    with pytest.raises(ValueError, match="discount_alpha_beta"):
        conformance.check_market(other, expected, 2)


def test_one_run_has_no_standard_error(market, expected, no_simulation, capsys) -> None:
    with pytest.raises(ValueError, match="runs must be at least 2"):
        conformance.check_market(market, expected, 1)
    code, _, errors = run(
        capsys, DATA / "market_III.npz", "--market", DATA / "market_III.json", "--runs", 1
    )
    assert code == 2
    assert "--runs" in errors


def test_unknown_kernel_is_an_error_with_the_choices(capsys) -> None:
    code, _, errors = run(
        capsys, DATA / "market_III.npz", "--market", DATA / "market_III.json", "--kernel", "fast"
    )
    assert code == 2
    assert "reference" in errors


def test_out_of_a_market_is_refused_not_ignored(recorded, capsys, tmp_path) -> None:
    code, _, errors = run(
        capsys, DATA / "market_III.npz", "--market", DATA / "market_III.json", "--runs", RUNS,
        "--out", tmp_path / "out.npz",
    )  # fmt: skip
    assert (tmp_path / "out.npz").exists() or (code == 2 and "--out" in errors)
