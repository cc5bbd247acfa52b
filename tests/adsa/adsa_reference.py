"""Random problems, and what ADSA says about them by plain float64 arithmetic: one tau after the other."""

from __future__ import annotations

import math

import torch


def problem(seed, *, num_classes=6, images_per_class=12, imbalance_factor=100.0, scale=1.0, bias=1.0, uneven=False):
    """Logits (B, C) float64 of a teacher that leans to the head classes, intended classes (B,), prior (C,)."""
    generator = torch.Generator().manual_seed(seed)
    prior = imbalance_factor ** (-torch.arange(num_classes, dtype=torch.float64) / (num_classes - 1))
    prior = prior[torch.randperm(num_classes, generator=generator)]
    prior = prior / prior.sum()
    counts = torch.full((num_classes,), images_per_class)
    if uneven:
        counts = torch.randint(1, 2 * images_per_class, (num_classes,), generator=generator)
    intended = torch.arange(num_classes).repeat_interleave(counts)
    intended = intended[torch.randperm(len(intended), generator=generator)]
    logits = torch.randn(len(intended), num_classes, generator=generator, dtype=torch.float64)
    separation = 0.5 + 2 * torch.rand(num_classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(len(intended)), intended] += separation[intended]
    return scale * logits + bias * prior.log(), intended, prior


def random_problem(seed):
    """A problem whose size, imbalance and sharpness are random too."""
    generator = torch.Generator().manual_seed(10_000 + seed)

    def between(low, high):
        return low + (high - low) * float(torch.rand((), generator=generator))

    return problem(
        seed,
        num_classes=int(between(2, 51)),
        images_per_class=int(math.exp(between(math.log(2), math.log(200)))),
        imbalance_factor=math.exp(between(math.log(1.2), math.log(1000))),
        scale=math.exp(between(math.log(0.2), math.log(20))),
        bias=between(0, 2),
    )


def own_probs(logits, intended, prior, tau):
    """(B,) probability of the intended class at one tau; (V, B, C) logits are averaged over views."""
    log_prior = (prior / prior.sum()).log()
    log_probs = (logits.double() - tau * log_prior).log_softmax(dim=-1)
    index = intended.expand(log_probs.shape[:-1])[..., None]
    probs = log_probs.gather(-1, index)[..., 0].exp()
    return probs.mean(dim=0) if probs.ndim == 2 else probs


def class_means(logits, intended, prior, tau, weight=None):
    """(C,) weighted mean of the probabilities of each class's images, by a loop."""
    probs = own_probs(logits, intended, prior, tau)
    weight = torch.ones_like(probs) if weight is None else weight.double()
    rows = [intended == number for number in range(len(prior))]
    return torch.stack([(weight[row] * probs[row]).sum() / weight[row].sum() for row in rows])


def spread(logits, intended, prior, tau, weight=None):
    means = class_means(logits, intended, prior, tau, weight).tolist()
    centre = math.fsum(means) / len(means)
    return math.sqrt(math.fsum((mean - centre) ** 2 for mean in means) / len(means))


def exhaustive_tau(logits, intended, prior, *, weight=None, lowest=-1.0, highest=4.0, num_steps=125):
    """The minimiser of the spread: a grid, then finer grids around its best."""
    while True:
        taus = torch.linspace(lowest, highest, num_steps + 1, dtype=torch.float64).tolist()
        best = min(range(len(taus)), key=lambda k: spread(logits, intended, prior, taus[k], weight))
        if taus[1] - taus[0] < 1e-5:
            return taus[best]
        lowest, highest = taus[max(best - 1, 0)], taus[min(best + 1, num_steps)]
        num_steps = 20


def gaussian_teacher(separations, *, imbalance_factor, sharpness=1.0):
    """A Bayes teacher of Gaussian classes: the prior (C,), and a draw of n images a class from generator g."""
    means = torch.diag(torch.tensor(separations, dtype=torch.float64))
    num_classes = len(means)
    prior = imbalance_factor ** (-torch.arange(num_classes, dtype=torch.float64) / (num_classes - 1))
    prior = prior / prior.sum()

    def draw(images_per_class, generator):
        intended = torch.arange(num_classes).repeat_interleave(images_per_class)
        noise = torch.randn(len(intended), num_classes, generator=generator, dtype=torch.float64)
        logits = -torch.cdist(means[intended] + noise, means).square() / 2 + prior.log()
        return sharpness * logits, intended

    return prior, draw
