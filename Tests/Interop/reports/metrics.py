# SPDX-License-Identifier: Apache-2.0
"""Compares Cairn's figures with scikit-learn, numpy and a Philox of its own.

usage: metrics.py cases DIR    writes DIR/metrics_cases.json
       metrics.py check DIR    compares DIR/metrics_results.json with the references
"""
import json
import math
import pathlib
import sys
import warnings

import numpy as np
from sklearn import calibration, metrics

from tally import Tally

BOUND = 1e-12
SEED = 9


# -- cases --------------------------------------------------------------------


def single(name, logits, truths, **more):
    classes = len(logits[0]) if len(logits) else 3
    return {
        "name": name, "problem_type": "single_label_classification",
        "labels": [f"class {k}" for k in range(classes)],
        "logits": np.asarray(logits, np.float32).astype(float).tolist(),
        "truths": [int(t) for t in truths], **more,
    }


def many(problem, name, logits, truths):
    return {
        "name": name, "problem_type": problem,
        "labels": [f"label {k}" for k in range(np.shape(logits)[1])],
        "logits": np.asarray(logits, np.float32).astype(float).tolist(),
        "truths": np.asarray(truths, np.float32).astype(float).ravel().tolist(),
    }


def cases():
    rng = np.random.default_rng(4)
    made = []
    for number in range(60):
        rows, classes = int(rng.integers(1, 400)), int(rng.integers(2, 12))
        logits = rng.normal(size=(rows, classes)) * rng.choice([0.1, 1, 5, 40])
        truths = rng.integers(0, rng.integers(1, classes + 1), rows)
        logits[np.arange(rows), truths] += rng.choice([0, 1, 3])
        made.append(single(f"random {number}", logits, truths))
    ties = rng.integers(-1, 2, (200, 4))
    made += [
        single("ties", ties, rng.integers(0, 4, 200)),
        single("all equal", np.zeros((9, 5)), rng.integers(0, 5, 9)),
        single("perfect", np.eye(4) * 9, range(4)),
        single("always wrong", np.eye(2) * 9, [1, 0]),
        single("one class seen", [[3, 1, 0]] * 5, [0] * 5),
        single("one class predicted", [[3, 1, 0]] * 5, [0, 1, 2, 1, 1]),
        single("one class there is", [[1], [2]], [0, 0]),
        single("one row", [[0.5, 0.25]], [1]),
        single("no rows", [], []),
        single("bootstrap", rng.normal(size=(57, 3)), rng.integers(0, 3, 57), resamples=40),
        single("bootstrap of one row", [[1, 2]], [1], resamples=5),
    ]
    for number in range(20):
        rows, labels = int(rng.integers(1, 200)), int(rng.integers(1, 9))
        made.append(many(
            "multi_label_classification", f"sets {number}", rng.normal(size=(rows, labels)),
            rng.random((rows, labels)) < rng.random(labels)))
        truths = rng.normal(size=(rows + 1, labels)) * rng.choice([1e-3, 1, 1e4])
        made.append(many(
            "regression", f"numbers {number}",
            truths + rng.normal(size=truths.shape) * rng.choice([1e-3, 1]), truths))
    made += [
        many("multi_label_classification", "no label at all", -np.ones((3, 2)), np.zeros((3, 2))),
        many("regression", "constant truths", [[1], [2], [4]], [[0.1]] * 3),
        many("regression", "constant predictions", [[0.1]] * 3, [[1], [2], [4]]),
        many("regression", "one row of numbers", [[1.0]], [[2.0]]),
    ]
    return made


# -- references ---------------------------------------------------------------


def scores(truths, predictions, labels, average):
    kind = dict(labels=labels, average=average, zero_division=0)
    values = metrics.precision_recall_fscore_support(truths, predictions, **kind)
    return dict(zip(("precision", "recall", "f1", "support"), values))


def check_single(tally, case, found):
    name = case["name"]
    logits, truths = np.array(case["logits"], float), np.array(case["truths"], int)
    classes = len(case["labels"])
    ids = list(range(classes))
    if len(truths) == 0:
        zeros = ["accuracy", "macro_f1", "mcc", "cohens_kappa", "log_loss", "brier_score"]
        return tally.check(name, all(found[key] == 0 for key in zeros), found)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    p = powers / powers.sum(1, keepdims=True)
    predictions = logits.argmax(1)
    expected = {
        "accuracy": metrics.accuracy_score(truths, predictions),
        "macro_f1": scores(truths, predictions, ids, "macro")["f1"],
        "mcc": metrics.matthews_corrcoef(truths, predictions),
        "brier_score": (
            metrics.brier_score_loss(truths, p, labels=ids, scale_by_half=False)
            if classes > 1 else 0.0),
        "log_loss": metrics.log_loss(truths, p, labels=ids) if classes > 1 else 0.0,
        # It breaks ties for the later class, so it sees the classes in reverse.
        "top2_accuracy": metrics.top_k_accuracy_score(
            classes - 1 - truths, p[:, ::-1], k=2, labels=ids) if classes > 2 else 1.0,
    }
    kappa = metrics.cohen_kappa_score(truths, predictions, labels=ids)
    expected["cohens_kappa"] = 0.0 if math.isnan(kappa) else kappa
    for key, value in expected.items():
        tally.near(f"{name}: {key}", found[key], value, BOUND)
    matrix = metrics.confusion_matrix(truths, predictions, labels=ids)
    tally.check(f"{name}: confusion", matrix.tolist() == found["confusion_matrix"])
    per_class = scores(truths, predictions, ids, None)
    for key, values in per_class.items():
        for entry, value in zip(found["per_class"], values):
            tally.near(f"{name}: {key} of {entry['label']}", entry[key], value, BOUND)
    for average in ("macro", "weighted"):
        for key, value in scores(truths, predictions, ids, average).items():
            if key != "support":
                tally.near(f"{name}: {average} {key}", found[average][key], value, BOUND)
    check_confidence(tally, name, found, p[np.arange(len(p)), predictions], predictions == truths)
    if "resamples" in case:
        check_bootstrap(tally, case, found, matrix)


def check_confidence(tally, name, found, confidence, right):
    bins = [entry for entry in found["calibration"]["bins"] if entry["count"]]
    # The curve is of a yes-or-no question: is the prediction right?
    accuracy, mean = calibration.calibration_curve(right, confidence, n_bins=10)
    tally.check(f"{name}: bins", len(bins) == len(mean), f"{len(bins)}, {len(mean)}")
    for entry, a, c in zip(bins, accuracy, mean):
        tally.near(f"{name}: bin accuracy", entry["accuracy"], a, BOUND)
        tally.near(f"{name}: bin confidence", entry["confidence"], c, BOUND)
    error = sum(
        entry["count"] * abs(a - c) for entry, a, c in zip(bins, accuracy, mean)) / len(right)
    tally.near(f"{name}: ece", found["calibration"]["ece"], error, BOUND)
    tally.near(f"{name}: confidence", found["confidence"]["mean"], confidence.mean(), BOUND)
    for key, rows in (("mean_correct", right), ("mean_wrong", ~right)):
        value = found["confidence"][key]
        if rows.any():
            tally.near(f"{name}: {key}", value, confidence[rows].mean(), BOUND)
        else:
            tally.check(f"{name}: {key}", value is None, value)


def philox(counter, key):
    c, k = list(counter), list(key)
    for turn in range(10):
        if turn:
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b % 2**32, a >> 32 ^ c[3] ^ k[1], a % 2**32]
    return c


def draws(bound, seed, name):
    """Indices below `bound`: pairs of words of the stream, low word first, modulo, by rejection."""
    number = 0xCBF29CE484222325
    for byte in name.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    words = (
        word for block in range(2**32)
        for word in philox((block, 0, number % 2**32, number >> 32), (seed % 2**32, seed >> 32)))
    limit = 2**64 - 1 - (2**64 - 1) % bound
    while True:
        draw = next(words) | next(words) << 32
        if draw < limit:
            yield draw % bound


def check_bootstrap(tally, case, found, matrix):
    classes, rows = len(matrix), int(matrix.sum())
    cells = np.repeat(np.arange(matrix.size), matrix.ravel())
    stream = draws(rows, SEED, "bootstrap")
    figures = []
    for _ in range(case["resamples"]):
        drawn = cells[[next(stream) for _ in range(rows)]]
        truths, predictions = drawn // classes, drawn % classes
        figures.append((
            metrics.accuracy_score(truths, predictions),
            scores(truths, predictions, list(range(classes)), "macro")["f1"],
            metrics.matthews_corrcoef(truths, predictions)))
    for key, values in zip(("accuracy", "macro_f1", "mcc"), np.array(figures).T):
        expected = np.quantile(values, [0.025, 0.975])
        interval = found["confidence_intervals_95"][key]
        tally.near(f"{case['name']}: {key} from", interval[0], expected[0], BOUND)
        tally.near(f"{case['name']}: {key} to", interval[1], expected[1], BOUND)


def check_sets(tally, case, found):
    name, labels = case["name"], len(case["labels"])
    truths = np.array(case["truths"]).reshape(-1, labels) > 0.5
    predictions = np.array(case["logits"]) > 0
    tally.near(
        f"{name}: subset", found["subset_accuracy"],
        metrics.accuracy_score(truths, predictions) if labels > 1
        else (truths == predictions).mean(), BOUND)
    tally.near(f"{name}: accuracy", found["accuracy"], (truths == predictions).mean(), BOUND)
    columns = [
        metrics.precision_recall_fscore_support(
            truths[:, k], predictions[:, k], average="binary", zero_division=0)[:3]
        for k in range(labels)]
    for entry, column in zip(found["per_class"], columns):
        for key, value in zip(("precision", "recall", "f1"), column):
            tally.near(f"{name}: {key} of {entry['label']}", entry[key], value, BOUND)
    if labels == 1:  # One column is a yes-or-no question to scikit-learn, which then averages both.
        return
    for average in ("micro", "macro", "weighted"):
        for key, value in scores(truths, predictions, None, average).items():
            if key != "support":
                tally.near(f"{name}: {average} {key}", found[average][key], value, BOUND)


def check_numbers(tally, case, found):
    name, width = case["name"], len(case["labels"])
    truths = np.array(case["truths"]).reshape(-1, width)
    predictions = np.array(case["logits"])

    def near(key, value, expected):
        # Squares of 1e4 carry 1e-12 of their own size.
        tally.near(f"{name}: {key}", value, expected, BOUND * max(1, abs(expected)))

    near("mse", found["mse"], metrics.mean_squared_error(truths, predictions))
    near("mae", found["mae"], metrics.mean_absolute_error(truths, predictions))
    varies = [np.ptp(truths[:, k]) > 0 for k in range(width)]
    if all(varies):
        near("r2", found["r2"], metrics.r2_score(truths, predictions))
    else:
        tally.check(f"{name}: r2", found["r2"] is None, found["r2"])
    for k, entry in enumerate(found["per_output"]):
        if varies[k] and np.ptp(predictions[:, k]) > 0:
            near("pearson", entry["pearson"], np.corrcoef(truths[:, k], predictions[:, k])[0, 1])
        else:
            tally.check(f"{name}: pearson", entry["pearson"] is None, entry["pearson"])


def check(directory):
    warnings.simplefilter("ignore")
    tally = Tally()
    given = json.loads((directory / "metrics_cases.json").read_text())
    results = json.loads((directory / "metrics_results.json").read_text())
    tally.check("as many results as cases", len(given) == len(results), len(results))
    kinds = {
        "single_label_classification": check_single,
        "multi_label_classification": check_sets, "regression": check_numbers,
    }
    for case, found in zip(given, results):
        kinds[case["problem_type"]](tally, case, found)
    return tally.finish("metrics")


if __name__ == "__main__":
    command, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    if command == "cases":
        (directory / "metrics_cases.json").write_text(json.dumps(cases(), allow_nan=False))
    else:
        sys.exit(check(directory))
