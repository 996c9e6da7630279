"""Closed-form elasticities: by hand, and against finite differences of the model itself."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.category_choice import category_probability, category_value
from retail_gym.model.elasticity import (
    category_elasticity,
    overall_elasticity,
    product_elasticity,
    quantity_elasticity,
    store_elasticity,
)
from retail_gym.model.price import price, price_paid
from retail_gym.model.product_choice import product_probability
from retail_gym.model.quantity import expected_quantity, purchase_rate
from retail_gym.model.store_visit import (
    marketing_feature,
    store_utility,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.utility import capped_utility, price_sensitivity, product_utility

# --- By hand ---------------------------------------------------------------------------------


def test_store_elasticity_by_hand():
    # no inertia: -0.2 x (1 - 0.6) x (1 - 0.25) = -0.06;  undiscounted: -0.2 x 0.4 = -0.08
    got = store_elasticity(0.2, [0.6], [0.25, 0.0])
    np.testing.assert_allclose(got, [[-0.06, -0.08]], rtol=1e-14)


def test_store_elasticity_with_inertia_by_hand():
    # theta = 0.5, s = 0.6, last week 0.2: p = 0.3 + 0.1 = 0.4
    # -0.2 x (0.5 x 0.6 x 0.4 / 0.4) x (1 - 0.25) = -0.2 x 0.3 x 0.75 = -0.045
    got = store_elasticity(0.2, [0.4], [0.25], propensity_u=[0.6], theta_u=[0.5])
    np.testing.assert_allclose(got, [[-0.045]], rtol=1e-14)


def test_store_elasticity_weight_and_coupon_are_factors():
    plain = store_elasticity(0.2, [0.6, 0.3], [0.25, 0.0, 0.5])
    assert plain.shape == (2, 3)
    weighted = store_elasticity(0.2, [0.6, 0.3], [0.25, 0.0, 0.5], weight=7.5)
    np.testing.assert_allclose(weighted, 7.5 * plain, rtol=1e-14)
    # customer 0 has a coupon of 0.1 that counts in the feature: a factor 0.9 for that customer
    couponed = store_elasticity(0.2, [0.6, 0.3], [0.25, 0.0, 0.5], coupon_u=[0.1, 0.0])
    np.testing.assert_allclose(couponed, plain * np.array([[0.9], [1.0]]), rtol=1e-14)


def test_store_elasticity_without_inertia_is_the_special_case_theta_zero():
    p, discount = [0.2, 0.9], [0.1, 0.4]
    general = store_elasticity(0.3, p, discount, propensity_u=p, theta_u=np.zeros(2))
    np.testing.assert_array_equal(general, store_elasticity(0.3, p, discount))


def test_category_elasticity_by_hand():
    # 0.5 x (1 - 0.2) x 0.1 x -3 = -0.12;  1 x (1 - 0.5) x 0.2 x -1 = -0.1
    got = category_elasticity([[0.5, 1.0]], [[0.2, 0.5]], [0.1, 0.2], [[-3.0, -1.0]])
    np.testing.assert_allclose(got, [[-0.12, -0.1]], rtol=1e-14)


def test_product_elasticity_by_hand():
    # (1 - 0.25) x -4 = -3;  (1 - 1) x -2 = 0
    got = product_elasticity([[0.25, 1.0]], [[-4.0, -2.0]])
    np.testing.assert_allclose(got, [[-3.0, 0.0]], rtol=1e-14)


def test_product_elasticity_of_a_lone_product_survives_rounding():
    assert product_elasticity([[1.0 + 2.0**-52]], [[-2.0]]) == 0.0


def test_quantity_elasticity_by_hand():
    # 1 / (1 + 1) x 0.2 x -5 = -0.5;  3 / 4 x 0.1 x -2 = -0.15
    got = quantity_elasticity([[1.0, 3.0]], [[0.2, 0.1]], [[-5.0, -2.0]])
    np.testing.assert_allclose(got, [[-0.5, -0.15]], rtol=1e-14)


def test_overall_elasticity_by_hand():
    got = overall_elasticity([[-0.1]], [[-0.2]], [[-3.0]], [[-0.4]])
    np.testing.assert_allclose(got, [[-3.7]], rtol=1e-15)


def test_capped_products_do_not_react():
    capped = np.array([[True, False]])
    p, beta_w, weight = [[0.5, 0.5]], [[-2.0, -2.0]], [[0.1, 0.1]]
    # the free product: 0.5 x 0.5 x 1 x -2 = -0.5;  0.5 x -2 = -1;  1/2 x 0.1 x -2 = -0.1
    got = category_elasticity(p, p, [1.0, 1.0], beta_w, capped)
    np.testing.assert_allclose(got, [[0.0, -0.5]], rtol=1e-14)
    np.testing.assert_allclose(product_elasticity(p, beta_w, capped), [[0.0, -1.0]], rtol=1e-14)
    got = quantity_elasticity([[1.0, 1.0]], weight, beta_w, capped)
    np.testing.assert_allclose(got, [[0.0, -0.1]], rtol=1e-14)


@given(st.floats(0.01, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1e6), st.floats(-10.0, -0.01))
def test_elasticities_are_never_positive(p, discount, rate, beta_w):
    assert store_elasticity(0.1, [p], [discount])[0, 0] <= 0.0
    assert category_elasticity([[p]], [[p]], [0.1], [[beta_w]])[0, 0] <= 0.0
    assert product_elasticity([[p]], [[beta_w]])[0, 0] <= 0.0
    assert quantity_elasticity([[rate]], [[0.1]], [[beta_w]])[0, 0] <= 0.0


def test_quantity_elasticity_approaches_its_bound():
    # lambda / (1 + lambda) goes to 1 for a large rate and to 0 for a small one
    got = quantity_elasticity([[1e12, 1e-12]], [[0.1, 0.1]], [[-2.0, -2.0]])
    np.testing.assert_allclose(got, [[-0.2, -0.2e-12]], rtol=1e-11)


# --- Against finite differences --------------------------------------------------------------

SIZES = np.array([1, 2, 4])
N_PRODUCTS = 7
H = 1e-5  # step of log price: errors of H^2 = 1e-10 and 1e-16 / H = 1e-11
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}


def make_store(theta, *, coupon=0.0, capped=False, scale=float(N_PRODUCTS)):
    """A store of 4 customers whose noise is frozen; every term is large enough to be seen."""
    g = np.random.default_rng(11)
    u, i, j = 4, N_PRODUCTS, SIZES.size
    store = SimpleNamespace(
        beta_x=g.normal(1, 0.3, (u, i)), x=g.normal(size=(u, i)),
        beta_z=g.normal(1, 0.3, (u, i)), z=g.random(i), eps=g.gumbel(0, 0.1, (u, i)),
        beta_w=price_sensitivity(-1.4, -0.5 - g.random(u), -0.5 - g.random(i)),
        base=1.0 + 3.0 * g.random(i), discount=np.where(g.random(i) < 0.5, 0.4 * g.random(i), 0.0),
        gamma_cate_0=g.normal(-1, 0.5, j), gamma_cate_1=0.2 + g.random(j),
        gamma_prod_0=g.normal(0, 0.3, i), gamma_prod_1=0.1 + 0.3 * g.random((u, i)),
        theta=np.full(u, theta), previous=g.random(u), visited=np.array([1, 0, 1, 1]),
        value=g.normal(3, 1, u), coupon=coupon * np.array([1.0, 0.0, 0.5, 2.0]),
        gamma_store=(-1.0, 0.3, 0.4), scale=scale, cap=np.inf,
    )  # fmt: skip
    if capped:
        store.cap = np.percentile(utility(store, store.discount), 60)
    return store


def utility(store, discount):
    paid = price_paid(price(store.base, discount, 1e-9), store.coupon)
    return product_utility(
        store.beta_x, store.x, store.beta_z, store.z, store.beta_w, np.log(paid), store.eps
    )


def stages(store, discount):
    """The four factors of expected demand, each (U, I), at the discounts given."""
    feature = marketing_feature(discount, store.scale)
    propensity = visit_propensity(
        store_utility(*store.gamma_store, store.visited, store.value, feature)
    )
    visit = visit_probability(store.theta, propensity, store.previous)
    mu = capped_utility(utility(store, discount), store.cap)
    value = category_value(mu, SIZES)
    category = category_probability(store.gamma_cate_0, store.gamma_cate_1, value)
    rate = purchase_rate(store.gamma_prod_0, store.gamma_prod_1, mu)
    return SimpleNamespace(
        visit=visit, propensity=propensity, rate=rate,
        category=np.repeat(category, SIZES, axis=1),
        product=product_probability(mu, value, SIZES), quantity=expected_quantity(rate),
    )  # fmt: skip


def log_factors(store, discount):
    s = stages(store, discount)
    visit = np.repeat(s.visit[:, None], N_PRODUCTS, axis=1)
    return np.log([visit, s.category, s.product, s.quantity])


def measured(store):
    """Own-price elasticities (stage, U, I): d log factor / d log shelf price.

    A price moves through the product's discount, as everything in the store does.
    """
    result = np.empty((4, store.beta_w.shape[0], N_PRODUCTS))
    for i in range(N_PRODUCTS):
        change = []
        for step in (H, -H):
            moved = store.discount.copy()
            moved[i] = 1.0 - (1.0 - moved[i]) * math.exp(step)
            change.append(log_factors(store, moved)[:, :, i])
        result[:, :, i] = (change[0] - change[1]) / (2 * H)
    return result


def closed(store):
    s = stages(store, store.discount)
    capped = utility(store, store.discount) > store.cap
    gamma_cate_1 = np.repeat(store.gamma_cate_1, SIZES)
    return np.array(
        [
            store_elasticity(
                store.gamma_store[2], s.visit, store.discount, propensity_u=s.propensity,
                theta_u=store.theta, weight=store.scale / N_PRODUCTS,
            ),
            category_elasticity(s.product, s.category, gamma_cate_1, store.beta_w, capped),
            product_elasticity(s.product, store.beta_w, capped),
            quantity_elasticity(s.rate, store.gamma_prod_1, store.beta_w, capped),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("theta", [0.0, 0.35, 0.9])
@pytest.mark.parametrize("coupon", [0.0, 0.15])
@pytest.mark.parametrize("capped", [False, True])
def test_closed_forms_equal_finite_differences(theta, coupon, capped):
    store = make_store(theta, coupon=coupon, capped=capped)
    ours, differences = closed(store), measured(store)
    np.testing.assert_allclose(ours, differences, **TOLERANCE)
    overall = overall_elasticity(*ours)
    np.testing.assert_allclose(overall, differences.sum(axis=0), **TOLERANCE)
    assert (ours[0] < -1e-3).all()  # the store term is there to be seen


def test_capped_products_have_only_the_store_term():
    store = make_store(0.35, capped=True)
    capped = utility(store, store.discount) > store.cap
    assert 0 < capped.sum() < capped.size
    for ours in (closed(store), measured(store)):
        np.testing.assert_allclose(ours[1:, capped], 0.0, rtol=0, atol=1e-9)
        free = ours[:, ~capped]
        assert (free[1] < 0).all()
        assert (free[3] < 0).all()


@pytest.mark.parametrize("scale", [1.0, 7.0, 50.0])
def test_store_elasticity_weight_is_the_share_of_one_product(scale):
    store = make_store(0.35, scale=scale)
    np.testing.assert_allclose(closed(store)[0], measured(store)[0], **TOLERANCE)


def test_the_papers_store_term_is_wrong_under_inertia():
    # ours and the paper's differ by more than a tenth, and the differences side with ours
    store = make_store(0.35)
    s = stages(store, store.discount)
    paper = store_elasticity(store.gamma_store[2], s.visit, store.discount)
    assert (np.abs(paper / measured(store)[0] - 1.0) > 0.1).any()


def test_lone_product_has_no_rival():
    store = make_store(0.0)
    np.testing.assert_array_equal(closed(store)[2][:, 0], 0.0)
    np.testing.assert_allclose(measured(store)[2][:, 0], 0.0, atol=1e-9)
