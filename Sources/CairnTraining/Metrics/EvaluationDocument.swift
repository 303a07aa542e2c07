// SPDX-License-Identifier: Apache-2.0
/// An evaluation as a JSON document.

import CairnFormats

extension Evaluation {
    /// Every figure by its stable key; null where the task has no such figure.
    ///
    /// - Parameter intervals: the bootstrap of `metrics`, where it was asked for.
    public func document(intervals: BootstrapIntervals? = nil) -> JSONObject {
        var document: JSONObject = [
            "rows": JSONValue(logits.count), "accuracy": .optional(accuracy),
            "loss": .optional(loss), "macro_f1": .optional(macroF1),
            "confusion_matrix": metrics.map { metrics in
                .array(metrics.confusion.map { .array($0.map { JSONValue($0) }) })
            } ?? .null,
            "per_class": (metrics?.perClass ?? multiLabel?.perLabel).map {
                .array($0.map(\.document))
            } ?? .null,
        ]
        if let tokenLosses {
            document.add([
                "perplexity": .optional(perplexity),
                "tokens": JSONValue(tokenLosses.reduce(0) { $0 + $1.count }),
            ])
        }
        if let metrics { document.add(metrics.document(intervals)) }
        if let probabilities { document.add(probabilities.document) }
        if let multiLabel { document.add(multiLabel.document) }
        if let regression { document.add(regression.document) }
        return document
    }
}

extension ClassificationMetrics {
    fileprivate func document(_ intervals: BootstrapIntervals?) -> JSONObject {
        [
            "num_classes": JSONValue(labels.count), "macro": macro.document,
            "weighted": weighted.document, "mcc": .number(matthews), "cohens_kappa": .number(kappa),
            "baselines": .object([
                "random": .number(randomBaseline), "majority_class": .number(majorityBaseline),
                "lift_over_majority": .number(liftOverMajority),
            ]),
            "top_confusions": .array(
                topConfusions(5).map {
                    .object([
                        "truth": .string(labels[$0.pair.truth]),
                        "prediction": .string(labels[$0.pair.prediction]),
                        "count": JSONValue($0.count),
                    ])
                }),
            "confidence_intervals_95": intervals?.document ?? .null,
        ]
    }
}

extension ProbabilityMetrics {
    fileprivate var document: JSONObject {
        [
            "top2_accuracy": .number(top2Accuracy), "log_loss": .number(logLoss),
            "brier_score": .number(brier),
            "confidence": .object([
                "mean": .optional(confidence.all),
                "mean_correct": .optional(confidence.right),
                "mean_wrong": .optional(confidence.wrong),
                "gap": .optional(confidence.gap),
            ]),
            "calibration": .object([
                "ece": .number(calibrationError),
                "bins": .array(
                    bins.map {
                        .object([
                            "lower": .number($0.lower), "upper": .number($0.upper),
                            "count": JSONValue($0.count),
                            "confidence": .optional($0.confidence),
                            "accuracy": .optional($0.accuracy),
                        ])
                    }),
            ]),
        ]
    }
}

extension MultiLabelMetrics {
    fileprivate var document: JSONObject {
        [
            "micro": micro.document, "macro": macro.document, "weighted": weighted.document,
            "subset_accuracy": .number(subsetAccuracy),
        ]
    }
}

extension RegressionMetrics {
    fileprivate var document: JSONObject {
        [
            "mse": .number(meanSquaredError), "mae": .number(meanAbsoluteError),
            "r2": .optional(r2), "pearson": .optional(pearson),
            "per_output": .array(
                perOutput.map {
                    .object([
                        "name": .string($0.name), "mse": .number($0.meanSquaredError),
                        "mae": .number($0.meanAbsoluteError), "r2": .optional($0.r2),
                        "pearson": .optional($0.pearson),
                    ])
                }),
        ]
    }
}

// MARK: Parts

extension ClassScore {
    fileprivate var document: JSONValue {
        .object([
            "label": .string(label), "precision": .number(precision), "recall": .number(recall),
            "f1": .number(f1), "support": JSONValue(support),
        ])
    }
}

extension AverageScore {
    fileprivate var document: JSONValue {
        .object(["precision": .number(precision), "recall": .number(recall), "f1": .number(f1)])
    }
}

extension BootstrapIntervals {
    fileprivate var document: JSONValue {
        func range(_ interval: ConfidenceInterval) -> JSONValue {
            [.number(interval.lower), .number(interval.upper)]
        }
        return .object([
            "accuracy": range(accuracy), "macro_f1": range(macroF1), "mcc": range(matthews),
            "resamples": JSONValue(resamples), "seed": .string(String(seed)),
        ])
    }
}

extension JSONObject {
    /// - Precondition: no key is there already.
    fileprivate mutating func add(_ members: JSONObject) {
        for (key, value) in members {
            let isNew = append(key: key, value: value)
            precondition(isNew, "key '\(key)' given twice")
        }
    }
}
