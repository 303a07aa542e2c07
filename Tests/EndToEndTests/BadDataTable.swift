// SPDX-License-Identifier: Apache-2.0
/// Bad inputs: the rows to train and to validate on.

import Cairn
import Foundation

extension BadInput {
    static let data: [BadInput] = [
        // MARK: Files
        BadInput("no data file", says: "train.jsonl", "no such file") { try $0.remove($0.data) },
        BadInput("the data is a directory", says: "train.jsonl", "not a file") {
            try $0.remove($0.data)
            try $0.makeDirectory($0.data)
        },
        BadInput("an empty corpus", says: "train.jsonl", "no row") {
            try $0.write("", to: $0.data)
        },
        BadInput("a header alone", says: "rows.csv", "no row", arguments: withTable("rows.csv")) {
            try $0.write("text,label\n", to: $0.url.appendingPathComponent("rows.csv"))
        },
        BadInput(
            "an unknown extension", says: "rows.xlsx", "extension", "jsonl, ndjson, json, csv, tsv",
            arguments: withTable("rows.xlsx")
        ) {
            try $0.write("text,label\n", to: $0.url.appendingPathComponent("rows.xlsx"))
        },
        BadInput(
            "lines of text for labels", says: "rows.txt", "no labels", "jsonl",
            arguments: withTable("rows.txt")
        ) {
            try $0.write("a line\n", to: $0.url.appendingPathComponent("rows.txt"))
        },
        BadInput(
            "no evaluation file", says: "/eval.jsonl", "no such file", arguments: withEvaluation
        ) {
            try $0.remove($0.evaluationData)
        },

        // MARK: JSON Lines
        BadInput("bad JSON on line 17", says: "train.jsonl, line 17:", "not JSON", "column 17") {
            try $0.setLine(17, #"{"text": "half" "label": 1}"#)
        },
        BadInput("a row that is a list", says: "train.jsonl, line 2:", "an object", "a list") {
            try $0.setLine(2, "[1, 2]")
        },
        BadInput("no text", says: "train.jsonl, line 9:", "'text'") {
            try $0.setLine(9, #"{"txt": "a goal", "label": 1}"#)
        },
        BadInput("no label", says: "train.jsonl, line 40:", "no label") {
            try $0.setLine(40, #"{"text": "a goal"}"#)
        },
        BadInput(
            "three bad lines", says: "train.jsonl: 3 bad lines", "line 3:", "line 5:", "line 8:"
        ) {
            for line in [3, 5, 8] { try $0.setLine(line, "{}") }
        },
        BadInput("a label of two types", says: "train.jsonl, line 4:", "name", "ids") {
            try $0.setLine(4, Job.row("a goal", #""sport""#))
        },
        BadInput("a label that is a number", says: "train.jsonl, line 4:", "class id", "1.5") {
            try $0.setLine(4, Job.row("a goal", "1.5"))
        },
        BadInput("a negative class id", says: "train.jsonl, line 4:", "class id from 0 on") {
            try $0.setLine(4, Job.row("a goal", "-1"))
        },
        BadInput("one class alone", says: "train.jsonl", "2 classes", "found 1 ('sport')") { job in
            let rows = (0..<20).map { Job.row("goal \($0)", #""sport""#) }
            try job.write(rows.joined(separator: "\n"), to: job.data)
        },
        BadInput("a gap in the class ids", says: "train.jsonl", "0 to 9", "3, 4, 5, 6, 7, 8") {
            try $0.setLine(4, Job.row("a goal", "9"))
        },
        BadInput("a text without tokens", says: "train.jsonl, line 6:", "no token") {
            try $0.setLine(6, Job.row("", "1"))
        },
        BadInput("a text that is not UTF-8", says: "train.jsonl, line 1:", "UTF-8") {
            try $0.editBytes($0.data) { $0[11] = 0xFF }
        },
        BadInput("an unknown split", says: "train.jsonl, line 1:", "'split'", "train") {
            try $0.setLine(1, #"{"text": "a goal", "label": 1, "split": "practice"}"#)
        },
        BadInput("a split for some rows only", says: "train.jsonl, line 2:", "split") {
            try $0.setLine(1, #"{"text": "a goal", "label": 1, "split": "train"}"#)
        },
        BadInput("too few rows to split", says: "train.jsonl", "2 rows", "validation") { job in
            let rows = [Job.row("a goal", "0"), Job.row("a bank", "1")]
            try job.write(rows.joined(separator: "\n"), to: job.data)
        },

        // MARK: Against the training rows
        BadInput(
            "an unknown label to validate on", says: "eval.jsonl, line 3:", "7", "0..<3",
            arguments: withEvaluation
        ) {
            try $0.setLine(3, Job.row("a goal", "7"), of: $0.evaluationData)
        },
        BadInput(
            "a name to validate on where ids were trained", says: "eval.jsonl, line 3:", "'golf'",
            arguments: withEvaluation
        ) {
            try $0.setLine(3, Job.row("a goal", #""golf""#), of: $0.evaluationData)
        },

        // MARK: Tables
        BadInput(
            "a quote that stays open", says: "rows.csv, line 3:", "never closed",
            arguments: withTable("rows.csv")
        ) {
            try $0.write(
                "text,label\na goal,0\n\"a bank,1\n",
                to: $0.url.appendingPathComponent("rows.csv"))
        },
        BadInput(
            "a row with too many fields", says: "rows.csv, line 2:", "3 fields", "2",
            arguments: withTable("rows.csv")
        ) {
            try $0.write(
                "text,label\na goal, late,0\na bank,1\n",
                to: $0.url.appendingPathComponent("rows.csv"))
        },
        BadInput(
            "a table without texts", says: "rows.tsv", "'text'", "gloss, label",
            arguments: withTable("rows.tsv")
        ) {
            try $0.write(
                "gloss\tlabel\na goal\t0\n", to: $0.url.appendingPathComponent("rows.tsv"))
        },
        BadInput(
            "a table without labels", says: "rows.tsv", "'label'", "text, class",
            arguments: withTable("rows.tsv")
        ) {
            try $0.write(
                "text\tclass\na goal\t0\n", to: $0.url.appendingPathComponent("rows.tsv"))
        },

        // MARK: Other tasks
        BadInput(
            "a name to regress on", says: "train.jsonl, line 5:", "finite number", "'high'",
            arguments: { $0.finetune("--problem", "regression") }
        ) {
            try $0.setLine(5, Job.row("a goal", #""high""#))
        },
        BadInput(
            "a label twice in a list", says: "train.jsonl, line 1:", "twice",
            arguments: { $0.finetune("--problem", "multi-label") }
        ) { job in
            let rows = [
                #"{"text": "a", "labels": ["x", "x"]}"#, #"{"text": "b", "labels": ["y"]}"#,
            ]
            try job.write(rows.joined(separator: "\n"), to: job.data)
        },
    ]

    private static let withEvaluation: @Sendable (Job) -> [String] = {
        $0.finetune("--eval-data", $0.evaluationData.path)
    }

    private static func withTable(_ name: String) -> @Sendable (Job) -> [String] {
        { job in
            job.finetune(
                without: "--data", then: ["--data", job.url.appendingPathComponent(name).path])
        }
    }
}
