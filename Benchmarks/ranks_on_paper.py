# SPDX-License-Identifier: Apache-2.0
"""What 8 nodes, 64 nodes and 8 GPUs would do, by formula: the table of "Training on several machines".

usage: ranks_on_paper.py [--minilm TOKENS_PER_SECOND] [--smollm2 TOKENS_PER_SECOND] [--gpu TOKENS_PER_SECOND]

A step takes what its rows take on one rank, then the sum of the gradients, then one agreement. The
rates are those of one rank: measured ones for the processor (README.md), an assumed one for a GPU.
"""
import argparse

TOKENS = 128  # Of a row.
# Links: bytes per second each way, seconds of latency.
ETHERNET_1, ETHERNET_25, NVLINK, PCIE = (0.117e9, 50e-6), (2.9e9, 20e-6), (200e9, 10e-6), (20e9, 10e-6)
AGREEMENT = 4e-6  # Seconds that a rank's part costs at the first rank.
INBOX = 32 << 20  # DeviceSum's, in bytes.


def chain(size, ranks, link):
    """GradientChain: chunks up the ranks and down again."""
    rate, latency = link
    chunk = 4 * min(max(size / 4 // (2 * ranks), 1 << 12), 1 << 16)
    return size / rate + 2 * (ranks - 1) * (chunk / rate + latency)


def by_host(size, ranks, link):
    """The same between GPUs, which copy to the host and back."""
    return chain(size, ranks, link) + 2 * size / link[0]


def devices(size, ranks, link, groups=None):
    """DeviceSum: parts of all groups to the owner of a slice, and the slices to all."""
    rate, latency = link
    groups = groups or ranks
    pieces = -(-size / ranks // (INBOX / groups))
    return size * (ranks - 1) / ranks * (groups / ranks + 1) / rate + 2 * pieces * latency


def show(seconds):
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{seconds * 1e3:.3g} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minilm", type=float, default=4091, help="all-MiniLM-L6-v2 on a node")
    parser.add_argument("--smollm2", type=float, default=642, help="SmolLM2-135M on a node")
    parser.add_argument("--gpu", type=float, default=40000, help="SmolLM2-135M on a GPU")
    options = parser.parse_args()
    minilm, smollm2 = ("MiniLM", 2.65e6, options.minilm), ("SmolLM2-135M", 19.5e6, options.smollm2)
    gpu = ("SmolLM2-135M", 19.5e6, options.gpu)
    rows = [(model, f"{name}", count, 4, chain, link)
            for name, link in (("1 Gbit/s", ETHERNET_1), ("25 Gbit/s", ETHERNET_25))
            for count in (8, 64) for model in (minilm, smollm2)]
    rows += [(gpu, "8 GPUs, NCCL over NVLink", 8, 32, devices, NVLINK),
             (gpu, "8 GPUs, NCCL over PCIe", 8, 32, devices, PCIE),
             (gpu, "8 GPUs, by the host", 8, 32, by_host, PCIE)]
    print("| model, links | ranks | rows each | computing | gradients | bytes of a rank | sum | agreement "
          "| efficiency |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (model, size, rate), name, ranks, each, way, link in rows:
        computing = each * TOKENS / rate
        total = way(size, ranks, link)
        agreement = 2 * link[1] + AGREEMENT * (ranks - 1)
        moved = 2 * size * ((ranks - 1) / ranks if way is devices else 1)
        print(f"| {model}, {name} | {ranks} | {each} | {show(computing)} | {size / 1e6:.3g} MB "
              f"| {moved / 1e6:.3g} MB | {show(total)} | {show(agreement)} "
              f"| {100 * computing / (computing + total + agreement):.1f} % |")


main()
