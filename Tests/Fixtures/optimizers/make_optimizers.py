# SPDX-License-Identifier: Apache-2.0
"""Writes optimizers.json: what torch's optimizers and transformers' schedules give.

    pip install torch==2.15.0 transformers==5.24.0 lion-pytorch==0.2.5
    python make_optimizers.py

Optimizers run in double on numbers that are exact in fp32; Lion is lion-pytorch, for torch has none.
"""

import json
import pathlib

import torch
from lion_pytorch import Lion
from transformers import optimization

COUNT, STEPS, RATE = 37, 5, 0.01

torch.manual_seed(11)
start = torch.randn(COUNT).double()
gradients = [torch.randn(COUNT).double() for _ in range(STEPS)]


def run(make, slots):
    """The parameter and the slots after every gradient was used once."""
    parameter = torch.nn.Parameter(start.clone())
    optimizer = make([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    state = optimizer.state[parameter]
    return {"p": parameter.tolist(), **{ours: state[theirs].tolist() for ours, theirs in slots.items()}}


moments = {"m": "exp_avg", "v": "exp_avg_sq"}
velocity = {"v": "momentum_buffer"}
rules = {
    "adamw": run(lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0.1), moments),
    "adam": run(lambda p: torch.optim.Adam(p, lr=RATE, weight_decay=0.1), moments),
    "adam without decay": run(lambda p: torch.optim.Adam(p, lr=RATE), moments),
    "sgd": run(lambda p: torch.optim.SGD(p, lr=RATE, weight_decay=0.1), {}),
    "sgd with momentum": run(lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9), velocity),
    "sgd with nesterov": run(
        lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, nesterov=True, weight_decay=0.1),
        velocity,
    ),
    "lion": run(
        lambda p: Lion(p, lr=RATE, betas=(0.9, 0.99), weight_decay=0.1), {"m": "exp_avg"}
    ),
}


def factors(make, steps, **settings):
    """The factor on the learning rate at every step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


span = {"num_warmup_steps": 3, "num_training_steps": 23}
schedules = {
    "linear": factors(optimization.get_linear_schedule_with_warmup, 24, **span),
    "cosine": factors(optimization.get_cosine_schedule_with_warmup, 24, **span),
    "cosine to 0.1": factors(
        optimization.get_cosine_with_min_lr_schedule_with_warmup, 24, min_lr_rate=0.1, **span
    ),
    "polynomial 2 to 0.1": factors(
        optimization.get_polynomial_decay_schedule_with_warmup, 24, lr_end=0.1, power=2.0, **span
    ),
    "polynomial 0.5": factors(
        optimization.get_polynomial_decay_schedule_with_warmup, 24, lr_end=0.0, power=0.5, **span
    ),
    "inverse-sqrt": factors(optimization.get_inverse_sqrt_schedule, 24, num_warmup_steps=3),
    "inverse-sqrt without warm-up": factors(
        optimization.get_inverse_sqrt_schedule, 24, num_warmup_steps=0
    ),
    "cosine-restarts 4": factors(
        optimization.get_cosine_with_hard_restarts_schedule_with_warmup, 24, num_cycles=4, **span
    ),
}

document = {
    "count": COUNT,
    "learning_rate": RATE,
    "start": start.tolist(),
    "gradients": [gradient.tolist() for gradient in gradients],
    "rules": rules,
    "schedules": schedules,
}
path = pathlib.Path(__file__).parent / "optimizers.json"
path.write_text(json.dumps(document, indent=1) + "\n")
