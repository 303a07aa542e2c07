// SPDX-License-Identifier: Apache-2.0
/// Why a run cannot start or go on.

import CairnEngine

/// Why rows cannot share what they begin with.
public enum PromptObstacle: Equatable, Sendable {
    /// Tokens see those behind them.
    case readsBothWays(file: String)
    /// Dropout is counted by row.
    case drops
}

/// Every case says where, what was expected and what was found.
public enum TrainingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no row.
    case emptyData(file: String)
    /// A loss or a norm overflowed; nothing of the step was applied.
    case nonFinite(what: String, step: Int, epoch: Int)
    /// A weight is NaN or infinite; nothing was written.
    case nonFiniteWeights(tensor: String, element: Int)
    /// A file that the work needs is not there.
    case missingFile(directory: String, name: String, purpose: String)
    /// The directory holds neither an adapter nor a model.
    case notACheckpoint(path: String, found: String)
    /// A key of a document has a value that it cannot have.
    case badMetadata(file: String, key: String, expected: String, found: String)
    /// The base that the adapter names is not on this machine.
    case baseMissing(file: String, base: String)
    /// The output cannot be made.
    case unwritable(path: String, reason: String)
    /// No file says which token pads.
    case noPadToken(directory: String)
    /// A row without a split in a file where others have one.
    case splitMissing(file: String, line: Int)
    /// Another count of numbers per row than in training.
    case badTargets(file: String, expected: Int, found: Int)
    /// A file's bytes are not those that were noted.
    case digestMismatch(path: String, expected: String, found: String)
    /// A part of a checkpoint contradicts another.
    case damaged(path: String, problem: String)
    /// What a run is given is not what it had; `key` is what `--allow` takes.
    case changed(key: String, what: String, expected: String, found: String)
    /// A plan was made for another run than the one it is compared with.
    case otherPlan(file: String, key: String, expected: String, found: String)
    /// The output holds another run.
    case runExists(directory: String, state: String)
    /// No checkpoint of the run is whole.
    case noCheckpoint(directory: String, skipped: [String])
    /// The path leads to no run.
    case noRun(path: String, found: String)
    /// The ledger has no step to compare with.
    case nothingToReplay(file: String, from: Int, last: Int)
    /// The run's rows came from no file, so only its own program can go on.
    case noJob(file: String)
    /// The checkpoints of the run would not fit.
    case noSpace(path: String, needed: Int, free: Int)
    /// A step gave another figure than before.
    case ledger(file: String, step: Int, key: String, expected: String, found: String)
    /// The steps that a journal keeps between two checkpoints might not fit.
    case noJournalSpace(path: String, needed: Int, free: Int)
    /// The merged model would not fit.
    case tooLarge(path: String, needed: Int, free: Int)
    /// The output is there, and nothing is written over it.
    case outputExists(path: String)
    /// The base is not the one that the adapter was trained on.
    case otherBase(path: String, expected: String, found: String)
    /// The base's matrices are kept in other bits than in the run that goes on.
    case otherStorage(path: String, expected: String, found: String)
    /// An adapter was trained over codes, and what its base is to be was not said, or cannot be.
    case codedBase(path: String, storage: String, advice: String)
    /// A file was replaced while it was read.
    case replacedMeanwhile(path: String)
    /// A merged number is beyond what its type holds.
    case notStorable(tensor: String, element: Int, number: String, dtype: String)
    /// The file was written by a later version.
    case newerSchema(file: String, found: Int, known: Int)
    /// The tokenizer gives an id that the model has no row for.
    case tokenOutOfRange(file: String, line: Int, id: Int, vocabulary: Int)
    /// Parameter groups that overlap, or leave parameters out.
    case badGroups([String])
    /// The file is in no format that can be read or written here.
    case badFormat(path: String, found: String)
    /// Several files have the name that was given without extension.
    case ambiguousFile(path: String, found: [String])
    /// No file has the name, with any extension.
    case noModelFile(path: String, tried: [String])
    /// A checkpoint's tensors or slots are not those of the model.
    case doesNotFit(path: String, problems: [String])
    /// A selector matches no parameter.
    case nothingSelected(selector: String, among: [String])
    /// A base that was never trained, under an adapter.
    case untrainedBase(directory: String)
    /// The run does not fit into the memory it was allowed, however it is cut.
    case memoryTooSmall(limit: Int, needed: Int)
    /// The run does not fit into what a GPU's memory has for it, with nothing kept that can be
    /// computed twice.
    case deviceMemoryTooSmall(device: Device, limit: Int, needed: Int, tokens: Int)
    /// The run grew beyond the memory it was allowed; it was saved and can go on with more.
    case memoryExceeded(limit: Int, found: Int, checkpoint: String)
    /// A shared prompt would not be computed as it is in each row.
    case promptsNotShared(PromptObstacle)
    /// A state that transformers' Trainer cannot go on from.
    case notForTrainer(String)

    public var description: String {
        switch self {
        case .emptyData(let file): "\(file): no rows to work on; expected at least 1"
        case .nonFinite(let what, let step, let epoch):
            "epoch \(epoch), step \(step): the \(what) is not a finite number; nothing of this "
                + "step was applied; try a lower --learning-rate"
        case .nonFiniteWeights(let tensor, let element):
            "tensor '\(tensor)' is not finite at element \(element); the checkpoint was not written"
        case .missingFile(let directory, let name, let purpose):
            "\(directory): expected \(name) (\(purpose)), found none"
        case .notACheckpoint(let path, let found):
            "\(path): expected a checkpoint directory with adapter_config.json, or config.json and "
                + "model.safetensors; found \(found)"
        case .badMetadata(let file, let key, let expected, let found):
            "\(file): key '\(key)' must be \(expected), found \(found)"
        case .baseMissing(let file, let base):
            "\(file): the base model is '\(base)', which is no directory here; name one with --base"
        case .splitMissing(let file, let line):
            "\(file), line \(line): expected train, validation or test in the split column, "
                + "found nothing, where other rows have one"
        case .badTargets(let file, let expected, let found):
            "\(file): expected \(expected) numbers per row, as in training, found \(found)"
        case .digestMismatch(let path, let expected, let found):
            "\(path): its tensors have the state digest \(found), expected \(expected), which its "
                + "state.json states; a file of it was changed"
        case .damaged(let path, let problem): "\(path) is damaged: \(problem)"
        case .changed(let key, let what, let expected, let found):
            "\(what) is not what the run had: expected \(expected), found \(found); the rest of the "
                + "run would be another one ('--allow \(key)' goes on all the same)"
        case .otherPlan(let file, let key, let expected, let found):
            "\(file) was planned for another run: '\(key)' of the run is \(expected), the plan has "
                + found
        case .runExists(let directory, let state):
            "\(directory) holds a run already (\(state)): 'cairn resume \(directory)' goes on with "
                + "it; for a new one name another directory"
        case .noCheckpoint(let directory, let skipped):
            "\(directory): expected a checkpoint that verifies, found "
                + (skipped.isEmpty ? "none" : skipped.joined(separator: "; "))
        case .noRun(let path, let found):
            "\(path): expected a checkpoint or a run's directory, found \(found)"
        case .nothingToReplay(let file, let from, let last):
            "\(file): expected steps behind step \(from) to replay, found the last one to be \(last)"
        case .noJob(let file):
            "\(file): the run's rows came from a program and not from files; only that program can "
                + "resume it"
        case .noSpace(let path, let needed, let free):
            "\(path): the checkpoints of this run may need \(needed) bytes, and \(free) are free; "
                + "keep fewer (--keep-last, --keep-best) or name another directory"
        case .noJournalSpace(let path, let needed, let free):
            "\(path): the journal may need \(needed) bytes between two checkpoints, and \(free) are "
                + "free for it; save more often ('--save-steps N') or name another directory"
        case .tooLarge(let path, let needed, let free):
            "\(path): the model needs \(needed) bytes, and \(free) are free there"
        case .outputExists(let path):
            "\(path) exists already, and nothing is merged over it; name another directory"
        case .otherBase(let path, let expected, let found):
            "\(path) is not the base that the adapter was trained on: expected config.json and "
                + "weights of digest \(expected), found \(found)"
        case .otherStorage(let path, let expected, let found):
            "\(path) was trained over a base kept as '\(expected)', found '\(found)'; over another "
                + "one its adapter is another function, so a run cannot change that"
        case .codedBase(let path, let storage, let advice):
            "\(path) was trained over a base kept as '\(storage)', whose numbers are not those of the "
                + "base's files; \(advice)"
        case .replacedMeanwhile(let path):
            "\(path) was replaced while it was read; run the same command again"
        case .notStorable(let tensor, let element, let number, let dtype):
            "tensor '\(tensor)' would be \(number) at element \(element), which \(dtype) cannot "
                + "store; nothing was written"
        case .ledger(let file, let step, let key, let expected, let found):
            "\(file): step \(step) gave \(key) \(found) now and \(expected) before; these are not "
                + "the run's bits"
        case .newerSchema(let file, let found, let known):
            "\(file): schema version \(found) is newer than \(known), the newest that this build "
                + "reads; a newer Cairn made it"
        case .tokenOutOfRange(let file, let line, let id, let vocabulary):
            "\(file), line \(line): token id \(id) is outside of the model's vocabulary of "
                + "\(vocabulary); is tokenizer.json of another model?"
        case .notForTrainer(let reason):
            "transformers' Trainer could not go on from this run: \(reason)"
        case .badGroups(let problems):
            "the optimizer's groups do not fit the model: \(problems.joined(separator: "; "))"
        case .badFormat(let path, let found):
            "\(path): expected a name that ends in .safetensors, .npz, .apr, .bin or .marshal, or "
                + "a format by name; found \(found)"
        case .ambiguousFile(let path, let found):
            "\(path): expected one file of that name, with or without an extension; found "
                + found.joined(separator: " and ") + ": say which"
        case .noModelFile(let path, let tried):
            "\(path): expected one of \(tried.joined(separator: ", ")) there, found none"
        case .doesNotFit(let path, let problems):
            "\(path) does not fit this model: " + problems.joined(separator: "; ")
        case .nothingSelected(let selector, let names):
            "\(selector): expected a choice among the model's \(names.count) parameters, such as "
                + "'\(names.first ?? "")', found none"
        case .untrainedBase(let directory):
            "\(directory): a model that starts at random has nothing for an adapter to rest on; "
                + "train every parameter (--method full)"
        case .memoryTooSmall(let limit, let needed):
            "the run does not fit into \(ByteSize(limit)): with a row per micro-batch and all of "
                + "the forward pass done twice it needs --memory \(ByteSize(needed))"
        case .deviceMemoryTooSmall(let device, let limit, let needed, let tokens):
            "the run does not fit into \(ByteSize(limit)) of \(device): with micro-batches of "
                + "\(tokens) tokens and all of the forward pass done twice it needs "
                + "\(ByteSize(needed)) or more; a smaller --token-budget needs less"
        case .memoryExceeded(let limit, let found, let checkpoint):
            "the run took \(ByteSize(found)), more than the \(ByteSize(limit)) it was allowed; it "
                + "was stopped, and 'cairn resume \(checkpoint)' goes on with a larger --memory"
        case .promptsNotShared(.readsBothWays(let file)):
            "\(file): an encoder's tokens see those behind them, so what it makes of a prompt is "
                + "another thing in every row; prompts are shared in decoders only"
        case .promptsNotShared(.drops):
            "a shared prompt would get one dropout mask for all of its rows, where each has one of "
                + "its own without; set the dropout to 0, or share no prompts"
        case .unwritable(let path, let reason): "\(path): cannot write there: \(reason)"
        case .noPadToken(let directory):
            "\(directory): expected pad_token_id in config.json, or a pad or eos token in "
                + "tokenizer_config.json that tokenizer.json knows; found neither"
        }
    }
}
