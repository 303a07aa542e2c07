// SPDX-License-Identifier: Apache-2.0
/// What sharing prompts saves a job, said once before it runs.

extension FineTuneJob {
    /// Tokens of an epoch that are computed with another row; 0 where nothing is shared.
    var sharedTokens: Int {
        tuner.settings.sharesPrompts ? tuner.sharedTokens(groups: tuner.settings.groups) : 0
    }

    /// How many tokens rows that begin alike save, and what fewer groups would save; nil where
    /// nothing is shared.
    func promptNote() -> String? {
        guard tuner.settings.sharesPrompts else { return nil }
        let total = tuner.train.tokenCount
        func percent(_ tokens: Int) -> String {
            "\(tokens) of an epoch's \(total) tokens (\(100 * tokens / max(total, 1)) %)"
        }
        let (groups, saved) = (tuner.settings.groups, sharedTokens)
        let most = groups == 1 ? saved : tuner.sharedTokens(groups: 1)
        let hint =
            most > saved
            ? "; rows share within one of \(groups) groups: with --groups 1 it would be "
                + "\(percent(most))" : ""
        guard saved > 0 else {
            return
                "prompts are shared where rows of a step begin alike for "
                + "\(SharedPrompts.leastTokens) tokens or more; none do\(hint)"
        }
        return "rows that begin alike share it: \(percent(saved)) are not computed again\(hint)"
    }
}
