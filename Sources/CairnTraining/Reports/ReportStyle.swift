// SPDX-License-Identifier: Apache-2.0
/// How a report looks: in light and dark, on narrow screens, on paper.

enum ReportStyle {
    static let sheet: HTML = """
        :root { color-scheme: light dark; --ink: #1c2430; --soft: #566070; --line: #d9dee6;
          --back: #ffffff; --card: #f6f8fa; --train: #1d5fd1; --validation: #c2410c;
          --saving: #6b7280; --heat: 29 95 209; --miss: 194 65 12; }
        @media screen and (prefers-color-scheme: dark) {
          :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #333b47; --back: #12161c;
            --card: #1a2028; --train: #74a8ff; --validation: #ff9a5c; --saving: #8a94a3;
            --heat: 60 120 230; --miss: 220 90 40; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--back); color: var(--ink);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
        main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 40px; }
        h1 { font-size: 1.75em; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
        header p { margin: 4px 0 20px; color: var(--soft); }
        h2 { font-size: 1.2em; margin: 36px 0 12px; padding-bottom: 4px;
          border-bottom: 1px solid var(--line); break-after: avoid; }
        dl { margin: 0; }
        dt { color: var(--soft); }
        dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
        .tiles { display: grid; gap: 10px;
          grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); }
        .tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
          padding: 10px 12px; display: flex; flex-direction: column;
          justify-content: space-between; }
        .tiles dt { font-size: .87em; }
        .tiles dd { font-size: 1.33em; font-weight: 600; }
        .facts { columns: 2 380px; column-gap: 32px; }
        .facts div { display: grid; grid-template-columns: 45% 1fr; gap: 12px; padding: 3px 0;
          border-bottom: 1px solid var(--line); break-inside: avoid; }
        .digests { columns: auto; }
        .digests div { grid-template-columns: 160px 1fr; }
        .digests dd { font-family: ui-monospace, monospace; font-size: .87em; }
        .charts { display: grid; gap: 20px;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }
        .charts figure { max-width: 560px; }
        figure { margin: 0; break-inside: avoid; }
        figcaption { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; }
        .legend { display: flex; flex-wrap: wrap; gap: 0 14px; color: var(--soft);
          font-size: .87em; }
        .note { margin: 2px 0 0; color: var(--soft); font-size: .87em; }
        svg { display: block; width: 100%; height: auto; overflow: visible; }
        .parts { display: flex; flex-wrap: wrap; gap: 8px 40px; align-items: flex-start; }
        .parts > * { max-width: 100%; }
        .calibration { width: 400px; margin-top: 16px; }
        .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
        .line.raw { stroke: var(--train); stroke-width: 1; stroke-opacity: .45; }
        .line.train { stroke: var(--train); }
        .line.validation { stroke: var(--validation); }
        circle.raw, circle.train { fill: var(--train); }
        circle.validation { fill: var(--validation); }
        .ring { fill: none; stroke: var(--validation); stroke-width: 1.5; }
        .grid { stroke: var(--line); fill: none; }
        .mark { stroke: var(--soft); fill: none; }
        .tick { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
        .name { fill: var(--ink); font-size: 12px; }
        .share { fill: var(--train); fill-opacity: .55; }
        .rows { fill: var(--saving); }
        .ideal { stroke: var(--validation); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; }
        .believed { fill: var(--ink); }
        .key { display: inline-block; width: 14px; height: 3px; margin: 0 5px 4px 0;
          vertical-align: middle; background: var(--train); }
        .key.raw { opacity: .45; }
        .key.validation, .key.ideal { background: var(--validation); }
        .key.rows { background: var(--saving); }
        .key.training { background: var(--train); }
        .key.saving { background: var(--saving); }
        .wide { gap: 2px 24px; margin: 0 0 12px; }
        .wide b { color: var(--ink); font-weight: 500; }
        .scroll { overflow-x: auto; margin-top: 16px; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
        caption { text-align: left; color: var(--soft); padding-bottom: 4px; }
        th, td { padding: 4px 12px; text-align: right; border-bottom: 1px solid var(--line);
          white-space: nowrap; }
        th { font-weight: 600; }
        thead th { color: var(--soft); font-weight: 400; vertical-align: bottom;
          white-space: normal; }
        th:first-child { text-align: left; padding-left: 0; }
        tbody th { max-width: 260px; overflow: hidden; text-overflow: ellipsis; font-weight: 500; }
        tr { break-inside: avoid; }
        .matrix td, .matrix thead th { min-width: 44px; padding: 4px 8px; }
        .matrix thead span { display: inline-block; max-width: 110px; overflow: hidden;
          text-overflow: ellipsis; vertical-align: bottom; }
        .right { background: rgb(var(--heat) / var(--share)); }
        .wrong { background: rgb(var(--miss) / var(--share)); }
        .strong { color: #fff; }
        .gauge { display: inline-block; width: 90px; height: 8px; margin-right: 10px;
          background: var(--line); border-radius: 4px; vertical-align: middle; }
        .gauge i { display: block; height: 100%; background: var(--train); border-radius: 4px; }
        .bar { display: flex; height: 14px; border-radius: 7px; overflow: hidden; margin: 4px 0 6px; }
        .bar .training { background: var(--train); }
        .bar .validation { background: var(--validation); }
        .bar .saving { background: var(--saving); }
        footer { margin-top: 36px; color: var(--soft); font-size: .87em; }
        @media (max-width: 600px) {
          main { padding: 18px 14px 30px; }
          .facts div { grid-template-columns: 1fr 1fr; }
          .digests div { grid-template-columns: 1fr; gap: 0; }
          .gauge { display: none; }
          th, td { padding: 4px 8px; } }
        @media print {
          * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
          body { font-size: 11px; }
          main { max-width: none; padding: 0; }
          .scroll { overflow: visible; }
          .charts { grid-template-columns: 1fr 1fr; } }

        """
}
