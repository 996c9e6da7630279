"""Every equation against upstream's outputs for one store (``tests/data/README.md``).

Passes where |ours - expected| <= 1e-9 (|expected| + mean |expected|) everywhere.
"""

import numpy as np
import pytest

from retail_gym.model import elasticity as el
from retail_gym.model.category_choice import category_probability, category_value
from retail_gym.model.price import base_price, price, price_paid
from retail_gym.model.product_choice import product_probability
from retail_gym.model.quantity import purchase_rate
from retail_gym.model.store_visit import store_value
from retail_gym.model.utility import capped_utility, price_sensitivity, product_utility
from retail_gym.model.week import expected_basket, store_visit

OUTPUTS = (
    "price", "price_paid", "utility_unclipped", "utility", "category_value",
    "product_probability", "category_probability", "store_value", "visit_probability",
    "purchase_rate", "elasticity_store", "elasticity_category", "elasticity_product",
    "elasticity_quantity", "elasticity_overall",
)  # fmt: skip


def outputs(e):
    """The paper's equations in order, on the inputs of the file."""
    sizes = e["category_sizes"]
    out = {"price": price(e["base_price"], e["discount"], e["lowest_price"])}
    out["price_paid"] = price_paid(out["price"], e["coupon"])
    beta_w = price_sensitivity(e["c"], e["beta_u"], e["beta_i"])
    out["utility_unclipped"] = product_utility(
        e["beta_x"], e["X"], e["beta_z"], e["Z"], beta_w, np.log(out["price_paid"]), e["eps"]
    )
    cap = np.percentile(out["utility_unclipped"], e["clip_percentile"])
    out["utility"] = capped_utility(out["utility_unclipped"], cap)
    out["category_value"] = category_value(out["utility"], sizes)
    out["product_probability"] = product_probability(out["utility"], out["category_value"], sizes)
    out["category_probability"] = category_probability(
        e["gamma_cate_0"], e["gamma_cate_1"], out["category_value"]
    )
    out["store_value"] = store_value(out["category_value"])
    out["visit_probability"] = store_visit(
        gamma_store_0=e["gamma_store_0"],
        gamma_store_1=e["gamma_store_1"],
        gamma_store_2=e["gamma_store_2"],
        theta_u=e["theta"],
        visited_u=e["previous_visit"],
        store_value_u=out["store_value"],  # stands for the previous week's
        previous_probability_u=e["previous_visit_probability"],
        marketing_u=e["marketing_feature"],
    )
    out["purchase_rate"] = purchase_rate(e["gamma_prod_0"], e["gamma_prod_1"], out["utility"])
    counted = e["coupon"] if e["marketing_feature"].ndim else 0.0
    out["elasticity_store"] = el.store_elasticity(
        e["gamma_store_2"], out["visit_probability"], e["discount"], coupon_u=counted
    )
    out["elasticity_category"] = el.category_elasticity(
        out["product_probability"],
        np.repeat(out["category_probability"], sizes, axis=1),
        np.repeat(e["gamma_cate_1"], sizes),
        beta_w,
    )
    out["elasticity_product"] = el.product_elasticity(out["product_probability"], beta_w)
    out["elasticity_quantity"] = el.quantity_elasticity(
        out["purchase_rate"], e["gamma_prod_1"], beta_w
    )
    out["elasticity_overall"] = el.overall_elasticity(
        out["elasticity_store"],
        out["elasticity_category"],
        out["elasticity_product"],
        out["elasticity_quantity"],
    )
    return out


@pytest.fixture(scope="module")
def ours(equations):
    return outputs(equations)


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_equals_upstream(name, ours, equations):
    expected = equations[name]
    assert ours[name].shape == expected.shape
    assert np.isfinite(ours[name]).all()
    allowed = 1e-9 * (np.abs(expected) + np.abs(expected).mean())
    assert (np.abs(ours[name] - expected) <= allowed).all()


def test_base_price_equals_upstream(equations):
    e = equations
    got = base_price(e["alpha_0"], e["alpha_1"], e["Z"], e["lowest_price"])
    np.testing.assert_allclose(got, e["base_price"], rtol=1e-12)


def test_the_cap_is_at_work(equations):
    # otherwise the file would not test it: 1 % of 1,320 utilities lie above
    above = equations["utility_unclipped"] > equations["utility"]
    assert 1 <= above.sum() <= 14


def test_elasticity_of_a_lone_product_is_exactly_zero(ours, equations):
    sizes = equations["category_sizes"]
    alone = np.repeat(sizes == 1, sizes)
    assert alone.any()
    assert (ours["elasticity_product"][:, alone] == 0.0).all()
    assert (equations["elasticity_product"][:, alone] == 0.0).all()


def test_expected_basket_composes_the_same_equations(ours, equations):
    e = equations
    got = expected_basket(
        ours["utility"],
        category_sizes=e["category_sizes"],
        gamma_cate_0_j=e["gamma_cate_0"],
        gamma_cate_1_j=e["gamma_cate_1"],
        gamma_prod_0_i=e["gamma_prod_0"],
        gamma_prod_1_ui=e["gamma_prod_1"],
    )
    np.testing.assert_array_equal(got.category_value_uj, ours["category_value"])
    np.testing.assert_array_equal(got.category_probability_uj, ours["category_probability"])
    np.testing.assert_array_equal(got.product_probability_ui, ours["product_probability"])
    np.testing.assert_array_equal(got.quantity_ui, 1.0 + ours["purchase_rate"])
    np.testing.assert_array_equal(got.store_value_u, ours["store_value"])
