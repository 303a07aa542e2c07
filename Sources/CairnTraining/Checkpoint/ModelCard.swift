// SPDX-License-Identifier: Apache-2.0
/// The README.md of a checkpoint: what it is, how good, how to load it.

import CairnFormats
import CairnModels
import Foundation

/// A model card with the run's own figures and a snippet that runs.
struct ModelCard {
    let base: BaseModel
    let adapter: Adapter?
    let description: RunDescription
    let epoch: EpochReport?

    /// A Hub id is one or two plain names; anything else is a path of this machine.
    static func isHubID(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let allowed = CharacterSet(
            charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        return (1...2).contains(parts.count)
            && parts.allSatisfy {
                !$0.isEmpty && !$0.hasPrefix(".")
                    && $0.unicodeScalars.allSatisfy(allowed.contains)
            }
    }

    private var baseID: String? {
        Self.isHubID(description.baseName) ? description.baseName : nil
    }

    private var isLanguageModel: Bool { description.task == .causal }

    var text: String {
        let parts =
            isLanguageModel
            ? [frontMatter, heading, figures, settings, storageNote, scoringSnippet]
            : [
                frontMatter, heading, figures, Self.labelTable(description.task.labels),
                settings, storageNote, snippet,
            ]
        return parts.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private var frontMatter: String {
        var lines = ["---"]
        if let baseID { lines.append("base_model: \(baseID)") }
        lines += [
            "library_name: \(adapter == nil ? "transformers" : "peft")",
            "pipeline_tag: text-\(isLanguageModel ? "generation" : "classification")", "tags:",
        ]
        if adapter != nil { lines.append("- lora") }
        return (lines + ["- cairn", "---", ""]).joined(separator: "\n")
    }

    private var heading: String {
        let kind = adapter == nil ? "A fully fine-tuned" : "A LoRA adapter for a"
        let source = baseID.map { " Base: `\($0)`." } ?? ""
        return """
            # \(isLanguageModel ? "Language model" : "Text classifier")

            \(kind) `\(base.configuration.family.rawValue)` model, trained with Cairn \
            \(CairnVersion.string).\(source)

            """
    }

    private var figures: String {
        guard let epoch else { return "No epoch had been completed when this was saved.\n" }
        func percent(_ value: Double?) -> String {
            value.map { String(format: "%.4f", $0) } ?? "–"
        }
        return """
            ## Figures

            | | train | validation |
            |---|---|---|
            | loss | \(String(format: "%.5f", epoch.trainLoss)) | \
            \(String(format: "%.5f", epoch.validationLoss)) |
            \(isLanguageModel
                ? "| perplexity | \(percent(exp(epoch.trainLoss))) | "
                    + "\(percent(exp(epoch.validationLoss))) |"
                : "| accuracy | \(percent(epoch.trainAccuracy)) | "
                    + "\(percent(epoch.validationAccuracy)) |")
            | rows | \(description.trainRows) | \(description.validationRows) |

            After epoch \(epoch.epoch) of \(description.settings.epochs). The training figures are \
            means over the epoch, taken while the weights moved.

            """
    }

    static func labelTable(_ labels: [String]) -> String {
        "## Labels\n\n| id | label |\n|---|---|\n"
            + labels.enumerated().map {
                "| \($0) | \($1.replacingOccurrences(of: "|", with: "\\|")) |\n"
            }.joined()
    }

    private var settings: String {
        let s = description.settings
        var rows = [
            ("problem type", description.task.problemType), ("seed", "\(s.seed)"),
            ("epochs", "\(s.epochs)"), ("batch size", "\(s.batchSize)"),
            ("learning rate", "\(s.learningRate), \(s.schedule.rawValue), warm-up \(s.warmup)"),
            ("weight decay", "\(s.weightDecay)"), ("precision", s.precision.rawValue),
            ("longest row", "\(description.maximumLength) tokens"),
            ("class weights", s.classWeights.rawValue),
            ("training data, SHA-256", description.dataDigest),
        ]
        if let c = adapter?.configuration {
            rows.append(
                (
                    "LoRA",
                    "rank \(c.rank), alpha \(c.alpha)\(c.usesRSLoRA ? ", rsLoRA" : "")"
                        + "\(c.usesDoRA ? ", DoRA" : ""), dropout \(c.dropout), \(c.targets)"
                ))
        }
        return "\n## Settings\n\n| | |\n|---|---|\n"
            + rows.map { "| \($0.0) | \($0.1) |\n" }.joined()
    }

    /// What a reader must know who loads the adapter over the base's own files.
    private var storageNote: String {
        guard let storage = description.options?.storage, storage.isQuantized else { return "" }
        return """

            The adapter was trained over a base whose linear layers were kept in \
            \(storage.rawValue) (SHA-256 of the codes \
            `\(description.inputs?.values["coded-base"] ?? "unknown")`), and the figures are of that. \
            Over the base's own weights, as below, it is a slightly different function; Cairn's \
            `evaluate` and `predict` use the codes unless `--base-storage stored` is given.

            """
    }

    private var snippet: String {
        let names = description.task.labels.enumerated().map {
            "\($0): \(Self.python($1))"
        }.joined(separator: ", ")
        let load =
            adapter == nil
            ? """
            model = AutoModelForSequenceClassification.from_pretrained(path)
            """
            : """
            base = AutoModelForSequenceClassification.from_pretrained(
                \(Self.python(baseID ?? "PATH/TO/THE/BASE")), num_labels=\(description.task.labels.count),
                id2label={\(names)}, pad_token_id=\(description.padTokenID.map { "\($0)" } ?? "None"))
            model = PeftModel.from_pretrained(base, path)
            """
        return use(
            autoClass: "AutoModelForSequenceClassification", load, text: "A text to classify.",
            result: "model.eval()(**inputs).logits")
    }

    /// How a language model is loaded and asked how likely it finds a text.
    private var scoringSnippet: String {
        let load =
            adapter == nil
            ? "model = AutoModelForCausalLM.from_pretrained(path)"
            : """
            base = AutoModelForCausalLM.from_pretrained(\(Self.python(baseID ?? "PATH/TO/THE/BASE")))
            model = PeftModel.from_pretrained(base, path)
            """
        return use(
            autoClass: "AutoModelForCausalLM", load, text: "A text to judge.",
            result: #"model.eval()(**inputs, labels=inputs["input_ids"]).loss.exp()"#)
    }

    /// A Python program that loads the model by `load` and prints `result` for a text.
    private func use(autoClass: String, _ load: String, text: String, result: String) -> String {
        """

        ## Use

        ```python
        import torch
        \(adapter == nil ? "" : "from peft import PeftModel\n")\
        from transformers import \(autoClass), AutoTokenizer

        path = "."  # this directory, or its name on the Hub
        \(load)
        tokenizer = AutoTokenizer.from_pretrained(path)
        inputs = tokenizer("\(text)", truncation=True, max_length=\(description.maximumLength), \
        return_tensors="pt")
        with torch.no_grad():
            print(\(result))
        ```

        """
    }

    /// A Python string literal.
    private static func python(_ text: String) -> String {
        let data = (try? JSONValue.string(text).serialized(pretty: false)) ?? Data()
        return String(decoding: data, as: UTF8.self)
    }
}
