// SPDX-License-Identifier: Apache-2.0
/// Line charts as SVG that needs nothing else.

import Foundation

/// Curves over one pair of axes.
struct Chart: Sendable {
    struct Series: Sendable {
        /// How a series is drawn; the names are those of the style sheet.
        enum Kind: String, Sendable {
            /// Every value, thin and pale, peaks cut off where they would flatten the rest.
            case raw
            /// The line to look at.
            case train
            /// A dot for every point.
            case validation
        }

        let name: String
        let kind: Kind
        let curve: Curve
    }

    let title: String
    var xTitle = "step"
    let series: [Series]
    /// Steps that the horizontal axis must hold, so that charts of one run line up.
    var span: ClosedRange<Double>?
    /// Numbers that the vertical axis must hold.
    var holds: [Double] = []
    /// No number is beyond these.
    var limits: ClosedRange<Double> = -.infinity...(.infinity)
    /// The point with a ring around it, and its name.
    var ring: (point: Curve.Point, name: String)?
    var note = ""

    static let width = 440.0
    static let height = 250.0
    private static let frame = (left: 54.0, top: 10.0, right: 430.0, bottom: 214.0)
    /// Two points for each of so many columns are as fine as the frame can show.
    static let columns = 376

    /// The chart as a figure with its legend; nothing where there is nothing to draw.
    var figure: HTML {
        let ends = series.flatMap { [$0.curve.points.first?.x, $0.curve.points.last?.x] }
        let xs = (ends + [span?.lowerBound, span?.upperBound]).compactMap { $0 }
        let drawn = series.filter { $0.curve.range(trimmed: false) != nil }
        guard let left = xs.min(), let right = xs.max(), !drawn.isEmpty else { return .empty }
        let x = Axis(left...right, room: 0.01, count: 6, isWhole: true)
        let y = verticalAxis(drawn)
        return """
            <figure>
            <figcaption><b>\(title)</b>\(legend(drawn))</figcaption>
            <svg viewBox="0 0 440 250" role="img" aria-label="\(title) by \(xTitle)">
            \(grid(x, y))\(drawn.map { Self.drawing($0, x, y) })\(ringDrawing(x, y))</svg>
            \(notes(drawn, y))</figure>

            """
    }

    private func verticalAxis(_ drawn: [Series]) -> Axis {
        let ranges = drawn.compactMap { $0.curve.range(trimmed: $0.kind == .raw) }
        let numbers = ranges.flatMap { [$0.lowerBound, $0.upperBound] } + holds
        let axis = Axis((numbers.min() ?? 0)...(numbers.max() ?? 1), room: 0.04, count: 5)
        if limits.contains(axis.lower) && limits.contains(axis.upper) { return axis }
        return Axis(
            max(axis.lower, limits.lowerBound)...min(axis.upper, limits.upperBound), room: 0,
            count: 5)
    }

    // MARK: Parts

    private func legend(_ drawn: [Series]) -> HTML {
        let keys = drawn.map {
            "<span><span class=\"key \($0.kind.rawValue)\"></span>\($0.name)</span>" as HTML
        }
        return drawn.count > 1 ? "<span class=\"legend\">\(keys)</span>" : .empty
    }

    private func grid(_ x: Axis, _ y: Axis) -> HTML {
        let rows = y.marks.map { mark -> HTML in
            let place = Self.y(y.place(mark))
            return """
                <path class="grid" d="M54 \(place)H430"/>\
                <text class="tick" x="48" y="\(place)" dy=".32em" text-anchor="end">\
                \(Readable.tick(mark, step: y.step))</text>

                """
        }
        let columns = x.marks.map { mark -> HTML in
            let place = Self.x(x.place(mark))
            return """
                <path class="mark" d="M\(place) 214v4"/>\
                <text class="tick" x="\(place)" y="230" text-anchor="middle">\
                \(Readable.tick(mark, step: x.step))</text>

                """
        }
        return """
            \(rows)<path class="mark" d="M54 214H430"/>
            \(columns)<text class="tick" x="\(Self.x(0.5))" y="246" text-anchor="middle">\(xTitle)</text>

            """
    }

    private static func drawing(_ series: Series, _ x: Axis, _ y: Axis) -> HTML {
        let curve = series.curve.thinned(columns: columns)
        var path = ""
        var dots: [HTML] = []
        let isDotted = series.kind == .validation && curve.points.count <= 100
        for stretch in curve.stretches {
            let places = stretch.map {
                (x: Self.x(x.place($0.x)), y: Self.y(clamped(y.place($0.y))))
            }
            path += "M" + places.map { "\($0.x) \($0.y)" }.joined(separator: "L")
            // A line needs two points, so one alone is a dot.
            guard isDotted || places.count == 1 else { continue }
            dots += places.map {
                "<circle class=\"\(series.kind.rawValue)\" cx=\"\($0.x)\" cy=\"\($0.y)\" r=\"3\"/>"
            }
        }
        return "<path class=\"line \(series.kind.rawValue)\" d=\"\(path)\"/>\n\(dots)\n"
    }

    private func ringDrawing(_ x: Axis, _ y: Axis) -> HTML {
        guard let ring, ring.point.y.isFinite else { return .empty }
        let share = x.place(ring.point.x)
        let (place, height) = (Self.x(share), Self.y(y.place(ring.point.y)))
        let isLate = share > 0.8
        return """
            <circle class="ring" cx="\(place)" cy="\(height)" r="6"/>\
            <text class="name" x="\(place)" y="\(height)" dx="\(isLate ? "-9" : "9")" dy="-.5em" \
            text-anchor="\(isLate ? "end" : "start")">\(ring.name)</text>

            """
    }

    /// What the frame does not show.
    private func notes(_ drawn: [Series], _ y: Axis) -> HTML {
        var notes = note.isEmpty ? [] : [note]
        for series in drawn {
            let broken = series.curve.brokenCount
            if broken > 0 && series.kind != .train {
                notes.append(
                    "\(broken) \(broken == 1 ? "value" : "values") of \(series.name) not finite")
            }
            guard series.kind == .raw, let range = series.curve.range(trimmed: false) else {
                continue
            }
            if range.upperBound > y.upper {
                notes.append("peaks reach \(Readable.number(range.upperBound))")
            }
            if range.lowerBound < y.lower {
                notes.append("dips reach \(Readable.number(range.lowerBound))")
            }
        }
        return notes.isEmpty ? .empty : "<p class=\"note\">\(notes.joined(separator: "; "))</p>\n"
    }

    // MARK: Coordinates

    private static func clamped(_ share: Double) -> Double { min(max(share, 0), 1) }

    private static func x(_ share: Double) -> String {
        text(frame.left + share * (frame.right - frame.left))
    }

    private static func y(_ share: Double) -> String {
        text(frame.bottom - share * (frame.bottom - frame.top))
    }

    /// To a tenth of a unit.
    static func text(_ coordinate: Double) -> String {
        let tenths = (coordinate * 10).rounded() / 10
        return tenths == tenths.rounded() ? "\(Int(tenths))" : "\(tenths)"
    }
}
