import math

import pytest
import torch

from lt_callbacks.adsa.nodes import MAX_NODES, chebyshev_nodes


def probability(taus, log_prior, logits):
    """softmax(z - tau a)[0] and its derivative at each tau, in closed form."""
    probs = (logits[None, :] - taus[:, None] * log_prior).softmax(dim=1)
    return probs[:, 0], probs[:, 0] * ((probs * log_prior).sum(dim=1) - log_prior[0])


@pytest.mark.parametrize("imbalance_factor", [1.5, 10.0, 100.0, 1000.0, 1e6])
@pytest.mark.parametrize(("lowest", "highest"), [(-1.0, 4.0), (0.0, 1.0), (-3.0, 6.0)])
def test_a_probability_and_its_derivative_are_known_between_the_nodes(imbalance_factor, lowest, highest):
    span = math.log(imbalance_factor)
    nodes = chebyshev_nodes(lowest, highest, log_prior_range=span)
    taus = torch.linspace(lowest, highest, 1001, dtype=torch.float64)
    # The worst case: head against tail, with the pole in the middle of the interval.
    log_prior = torch.tensor([-span / 2, span / 2], dtype=torch.float64)
    logits = torch.tensor([0.0, span * (lowest + highest) / 2], dtype=torch.float64)
    at_nodes, _ = probability(nodes.taus, log_prior, logits)
    exact, slope = probability(taus, log_prior, logits)
    assert float((at_nodes @ nodes.at(taus) - exact).abs().max()) < 2e-5
    assert float((at_nodes @ nodes.derivative @ nodes.at(taus) - slope).abs().max()) < 3e-3 * span


def test_nodes_are_ascending_and_reach_both_ends():
    nodes = chebyshev_nodes(-1.0, 4.0, log_prior_range=4.6)
    assert bool((nodes.taus.diff() > 0).all())
    assert (float(nodes.taus[0]), float(nodes.taus[-1])) == (-1.0, 4.0)
    torch.testing.assert_close(nodes.taus + nodes.taus.flip(0), torch.full_like(nodes.taus, 3.0))


def test_polynomials_come_back_exactly():
    nodes = chebyshev_nodes(-1.0, 4.0, log_prior_range=2.0)
    taus = torch.cat([torch.linspace(-1.0, 4.0, 57, dtype=torch.float64), nodes.taus])
    for power in range(6):
        torch.testing.assert_close(nodes.taus**power @ nodes.at(taus), taus**power, rtol=1e-11, atol=1e-11)
        slope = power * nodes.taus ** max(power - 1, 0)
        torch.testing.assert_close(nodes.taus**power @ nodes.derivative, slope, rtol=1e-9, atol=1e-9)


def test_at_a_node_is_the_value_of_that_node():
    nodes = chebyshev_nodes(-1.0, 4.0, log_prior_range=2.0)
    assert torch.equal(nodes.at(nodes.taus), torch.eye(len(nodes.taus), dtype=torch.float64))


def test_a_wider_prior_or_interval_takes_more_nodes():
    def count(**arguments):
        return len(chebyshev_nodes(**{"lowest": -1.0, "highest": 4.0, **arguments}).taus)

    few, more = count(log_prior_range=math.log(100)), count(log_prior_range=math.log(1000))
    assert 24 < few < more <= 90
    assert count(log_prior_range=math.log(100), highest=9.0) > few
    assert count(log_prior_range=0.0) == count(log_prior_range=1e-9) == 24


def test_a_prior_beyond_floating_point_is_refused():
    assert len(chebyshev_nodes(-1.0, 4.0, log_prior_range=44.0).taus) <= MAX_NODES
    with pytest.raises(ValueError, match=r"`class_prior` must not be so uneven for tau in \[-1, 4\]; .*exp\(60.0\)"):
        chebyshev_nodes(-1.0, 4.0, log_prior_range=60.0)
