// SPDX-License-Identifier: Apache-2.0
/// The README.md of a merged model: what it is, how good, how to load it.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// A model card from what the checkpoint's metadata says.
struct MergedCard {
    let source: MergeSource
    let type: DType
    let mergedLayers: Int

    var text: String {
        let labels = isLanguageModel ? [] : [ModelCard.labelTable(source.task.labels)]
        return ([frontMatter, heading, figures] + labels + [snippet]).joined(separator: "\n")
    }

    private var isLanguageModel: Bool { source.task == .causal }

    private var baseID: String? {
        source.metadata["base_model"]?.string.flatMap { ModelCard.isHubID($0) ? $0 : nil }
    }

    private var frontMatter: String {
        var lines = ["---"]
        if let baseID { lines.append("base_model: \(baseID)") }
        return
            (lines + [
                "library_name: transformers",
                "pipeline_tag: text-\(isLanguageModel ? "generation" : "classification")", "tags:",
                "- cairn", "---", "",
            ]).joined(separator: "\n")
    }

    private var heading: String {
        let family = source.base.configuration.family.rawValue
        let origin: String
        if let configuration = source.file?.configuration {
            let kind = ["dora": "DoRA", "rslora": "rsLoRA"][source.method] ?? "LoRA"
            let alpha =
                Int(exactly: configuration.alpha).map(String.init) ?? "\(configuration.alpha)"
            origin =
                "whose \(kind) adapter (rank \(configuration.rank), alpha \(alpha)) was merged into "
                + "\(mergedLayers) layers"
        } else {
            origin = "trained in full"
        }
        return """
            # \(isLanguageModel ? "Language model" : "Text classifier")

            A `\(family)` model, \(origin); \(type.rawValue) weights. Made with Cairn \
            \(CairnVersion.string).\(baseID.map { " Base: `\($0)`." } ?? "")\(storage)

            """
    }

    /// What merging an adapter over a base in codes changed.
    private var storage: String {
        guard let trained = source.metadata["base_storage"]?.string else { return "" }
        return " The adapter was trained over the base in \(trained) and merged into "
            + (source.storage == .stored
                ? "the base's own weights" : "the numbers that its codes stand for")
            + ": the figures below are of the adapter over the codes."
    }

    private var figures: String {
        let metadata = source.metadata
        guard let epoch = metadata["epoch"]?.integer, epoch > 0 else {
            return "No epoch had been completed when the checkpoint was saved.\n"
        }
        func figure(_ key: String, _ format: String) -> String {
            metadata[key]?.number.map { String(format: format, $0) } ?? "–"
        }
        func perplexity(_ loss: String) -> String {
            metadata[loss]?.number.map { String(format: "%.4f", exp($0)) } ?? "–"
        }
        return """
            ## Figures

            Of the checkpoint, after epoch \(epoch), before merging:

            | | train | validation |
            |---|---|---|
            | loss | \(figure("train_loss", "%.5f")) | \(figure("val_loss", "%.5f")) |
            \(isLanguageModel
                ? "| perplexity | \(perplexity("train_loss")) | \(perplexity("val_loss")) |"
                : "| accuracy | \(figure("train_accuracy", "%.4f")) "
                    + "| \(figure("val_accuracy", "%.4f")) |")

            """
    }

    private var snippet: String {
        let name = isLanguageModel ? "AutoModelForCausalLM" : "AutoModelForSequenceClassification"
        let asked =
            isLanguageModel
            ? """
                loss = model(**inputs, labels=inputs["input_ids"]).loss
            print("perplexity", loss.exp())
            """
            : """
                logits = model(**inputs).logits
            print(model.config.id2label[int(logits.argmax())], logits)
            """
        return """

            ## Use

            ```python
            import torch
            from transformers import \(name), AutoTokenizer

            path = "."  # this directory, or its name on the Hub
            model = \(name).from_pretrained(path).eval()
            tokenizer = AutoTokenizer.from_pretrained(path)
            inputs = tokenizer("A text to \(isLanguageModel ? "judge" : "classify").", \
            truncation=True, max_length=\(source.metadata["max_length"]?.integer ?? 512), \
            return_tensors="pt")
            with torch.no_grad():
            \(asked)
            ```

            """
    }
}
