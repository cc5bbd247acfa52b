from __future__ import annotations

import pytest
import torch

from lt_callbacks._counter_random import random_bits, random_integers, random_uniforms, stream_key

MASK = (1 << 64) - 1


def splitmix64(start: int, num_outputs: int) -> list[int]:
    """The published algorithm on unbounded integers."""
    outputs, state = [], start & MASK
    for _ in range(num_outputs):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        word = state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
        outputs.append(word ^ (word >> 31))
    return outputs


def test_bits_are_the_published_outputs():
    # the first outputs for the seed 1234567, as other implementations list them
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [bits & MASK for bits in random_bits(torch.arange(4), 1234567).tolist()] == published


@pytest.mark.parametrize("key", [0, -1, stream_key("flip", seed=3), -(1 << 63)])
def test_bits_equal_the_reference(key: int):
    assert [bits & MASK for bits in random_bits(torch.arange(1000), key).tolist()] == splitmix64(key, 1000)


def test_integers_and_uniforms_equal_the_reference():
    key, counter = stream_key("crop", seed=5, epoch=2), torch.arange(500)
    words = splitmix64(key, 500)
    assert random_integers(counter, key, bound=9).tolist() == [(word >> 1) % 9 for word in words]
    assert random_uniforms(counter, key).tolist() == [(word >> 11) / 2**53 for word in words]


def test_stream_keys_do_not_change_between_releases():
    # a checkpoint of an older release has to go on with the same views
    assert stream_key("flip", seed=0) == -3665105736471023155
    assert stream_key("order", seed=7, epoch=3) == -964874898350988294


def test_streams_differ_in_purpose_seed_and_epoch():
    keys = [stream_key(p, seed=s, epoch=e) for p in ("flip", "order") for s in range(20) for e in range(20)]
    assert len(set(keys)) == len(keys)
    # concatenated digits must not meet
    assert stream_key("x", seed=1, epoch=11) != stream_key("x", seed=11, epoch=1)


def test_a_number_depends_on_its_counter_alone():
    key, some = stream_key("crop", seed=0), torch.tensor([[7, 3], [3, 900]])
    everything = random_uniforms(torch.arange(1000), key)
    assert torch.equal(random_uniforms(some, key), everything[some])


def test_uniforms_are_uniform_and_streams_unrelated():
    counter = torch.arange(20_000)
    first = random_uniforms(counter, stream_key("crop row", seed=0))
    second = random_uniforms(counter, stream_key("crop column", seed=0))
    assert first.min() >= 0
    assert first.max() < 1
    counts = torch.histc(first, bins=20, min=0, max=1)
    chi_square = ((counts - 1000) ** 2 / 1000).sum().item()
    assert 5 < chi_square < 45  # 19 degrees of freedom, far in both tails
    correlation = torch.corrcoef(torch.stack([first, second, first.roll(1)]))
    assert correlation.fill_diagonal_(0).abs().max() < 5 / 20_000**0.5


def test_global_state_is_neither_read_nor_changed():
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), random_bits(torch.arange(9), 4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(random_bits(torch.arange(9), 4), first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_in_every_bit():
    counter, key = torch.arange(100_000), stream_key("flip", seed=1)
    assert torch.equal(random_bits(counter.cuda(), key).cpu(), random_bits(counter, key))
