// SPDX-License-Identifier: Apache-2.0
/// The `post_processor` of a tokenizer file: special tokens around the text, and trimmed offsets.

struct PostProcessor: Sendable {
    /// What stands where in the result.
    enum Item: Equatable, Sendable {
        case special(id: Int32, token: String, typeID: Int32)
        case text(typeID: Int32)
    }

    /// The order of special tokens and text; nil leaves the text alone.
    private(set) var template: [Item]?
    /// For each ByteLevel in the chain that trims: whether a prefix space was added.
    private(set) var trims: [Bool] = []
    /// Whether the template's type ids hold even where its special tokens are not wanted.
    private var keepsTypeIDs = false

    init() {}

    init(_ component: Component) throws(TokenizerError) {
        try read(component)
    }

    /// How many special tokens the template adds to one text.
    var specialTokenCount: Int {
        (template ?? []).reduce(0) { count, item in
            if case .special = item { count + 1 } else { count }
        }
    }

    /// The items to lay out, with or without special tokens.
    func items(addSpecialTokens: Bool) -> [Item] {
        guard let template else { return [.text(typeID: 0)] }
        if addSpecialTokens { return template }
        guard keepsTypeIDs else { return [.text(typeID: 0)] }
        return template.filter { if case .text = $0 { true } else { false } }
    }

    private mutating func read(_ component: Component) throws(TokenizerError) {
        let type = try component.text("type")
        switch type {
        case "Sequence":
            try component.allow("type", "processors")
            for element in try component.required("processors").elements() { try read(element) }
        case "ByteLevel":
            try component.allow("type", "add_prefix_space", "trim_offsets", "use_regex")
            let addsPrefixSpace = try component.flag("add_prefix_space")
            if try component.flag("trim_offsets") { trims.append(addsPrefixSpace) }
        case "TemplateProcessing":
            try setTemplate(try Self.template(component), component)
            keepsTypeIDs = true
        case "BertProcessing":
            try component.allow("type", "sep", "cls")
            try setTemplate(try Self.classic(component), component)
        case "RobertaProcessing":
            try component.allow("type", "sep", "cls", "trim_offsets", "add_prefix_space")
            let addsPrefixSpace = try component.flag("add_prefix_space")
            if try component.flag("trim_offsets") { trims.append(addsPrefixSpace) }
            try setTemplate(try Self.classic(component), component)
        default: throw component.unsupported("the post-processor '\(type)'")
        }
    }

    private mutating func setTemplate(
        _ items: [Item], _ component: Component
    ) throws(TokenizerError) {
        if template != nil {
            throw component.unsupported("a second post-processor that adds special tokens")
        }
        template = items
    }

    /// cls, text, sep.
    private static func classic(_ component: Component) throws(TokenizerError) -> [Item] {
        func special(_ key: String) throws(TokenizerError) -> Item {
            let pair = try component.required(key)
            let parts = try pair.elements()
            guard parts.count == 2 else { throw pair.wrong("a token and its id") }
            return .special(id: try parts[1].tokenID(), token: try parts[0].text(), typeID: 0)
        }
        return [try special("cls"), .text(typeID: 0), try special("sep")]
    }

    private static func template(_ component: Component) throws(TokenizerError) -> [Item] {
        try component.allow("type", "single", "pair", "special_tokens")
        let specials = try component.required("special_tokens")
        var items: [Item] = []
        for element in try component.required("single").elements() {
            try element.allow("SpecialToken", "Sequence")
            let isText = try element.optional("Sequence") != nil
            let body = try element.required(isText ? "Sequence" : "SpecialToken")
            try body.allow("id", "type_id")
            let name = try body.required("id")
            let typeID = try body.required("type_id").tokenID()
            if isText {
                guard try name.text() == "A" else { throw name.wrong("the sequence A") }
                items.append(.text(typeID: typeID))
            } else {
                items += try special(try name.text(), typeID, specials)
            }
        }
        guard items.filter({ if case .text = $0 { true } else { false } }).count == 1 else {
            throw component.unsupported("a template 'single' without exactly one sequence")
        }
        return items
    }

    /// One name in a template may stand for several tokens.
    private static func special(
        _ name: String, _ typeID: Int32, _ specials: Component
    ) throws(TokenizerError) -> [Item] {
        let entry = try specials.required(name)
        try entry.allow("id", "ids", "tokens")
        let ids = try entry.required("ids").elements()
        let tokens = try entry.required("tokens").elements()
        guard ids.count == tokens.count else {
            throw entry.inconsistent("\(ids.count) ids for \(tokens.count) tokens")
        }
        var items: [Item] = []
        for (id, token) in zip(ids, tokens) {
            items.append(
                .special(id: try id.tokenID(), token: try token.text(), typeID: typeID))
        }
        return items
    }

    /// Takes white space at the ends of tokens out of their offsets.
    func trim(_ offsets: inout [Range<Int>], tokens: [String]) {
        for addsPrefixSpace in trims {
            for index in offsets.indices {
                offsets[index] = Self.trimmed(
                    offsets[index], tokens[index], isFirst: index == 0, addsPrefixSpace)
            }
        }
    }

    private static func trimmed(
        _ range: Range<Int>, _ token: String, isFirst: Bool, _ addsPrefixSpace: Bool
    ) -> Range<Int> {
        let blank = ByteAlphabet.scalars[0x20]
        func isBlank(_ scalar: Unicode.Scalar) -> Bool {
            scalar.value == blank || ScalarClass.of(scalar.value).contains(.whitespace)
        }
        let scalars = token.unicodeScalars
        var leading = scalars.prefix(while: isBlank).count
        let trailing = scalars.reversed().prefix(while: isBlank).count
        // A single blank before the first word may be the one that was added.
        if isFirst || range.lowerBound == 0, addsPrefixSpace, leading == 1 { leading = 0 }
        let lower = min(range.lowerBound + leading, range.upperBound)
        guard trailing > 0, range.upperBound >= trailing else { return lower..<range.upperBound }
        return lower..<max(range.upperBound - trailing, lower)
    }
}
