# SPDX-License-Identifier: Apache-2.0
"""Writes the files of torch that the tests read: `python make_fixtures.py`, with torch 2.13."""
import collections
import os
import pathlib

import torch

here = pathlib.Path(__file__).parent
torch.manual_seed(0)
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)

kinds = {
    "none": None, "true": True, "false": False, "small": 7, "word": 60000, "negative": -5,
    "long": 2**40, "longest": -(2**63), "half": 0.5, "text": "h\u00e9 \u4e2d", 3: "three",
    "list": [1, [2.0, "x"], []], "tuple": (), "pair": (1, 2), "four": (1, 2, 3, 4),
}
shared = ["shared"]
kinds["shared"] = [shared, shared]
torch.save(kinds, here / "kinds.pt")

tensors = collections.OrderedDict(
    whole=base, transposed=base.t(), row=base[2], column=base[:, 1], every_other=base[::2, 1::2],
    scalar=torch.tensor(3.0), empty=torch.zeros(0, 5), bf16=torch.tensor([1.5, -2.0]).bfloat16(),
    f16=torch.tensor([0.25]).half(), f64=torch.tensor([1e300], dtype=torch.float64),
    i64=torch.tensor([-(2**62), 5]), i32=torch.tensor([[1], [2]], dtype=torch.int32),
    i16=torch.tensor([-3], dtype=torch.int16), i8=torch.tensor([-4], dtype=torch.int8),
    u8=torch.tensor([255], dtype=torch.uint8), bool=torch.tensor([True, False]),
    last=base.clone()[3, 4:],
)
torch.save(tensors, here / "tensors.pt")
torch.save(torch.nn.Linear(2, 1, dtype=torch.float64).state_dict(), here / "module.pt")
torch.save({"a": base[0, :2].clone()}, here / "protocol4.pt", pickle_protocol=4)


class Runs:
    def __reduce__(self):
        return os.system, ("echo this was run",)


torch.save({"model": Runs()}, here / "runs.pt")
