"""The style of an HTML report: one text, named by its hash in the page's own content security policy."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f5f6f8; --ink: #1b2430; --soft: #566173; --line: #d9dee6;
  --ok: #13713c; --ok-bg: #e5f5eb; --note: #1f5fa8; --note-bg: #e8f0fb;
  --warning: #8a5200; --warning-bg: #fdf1dc; --error: #b01e2e; --error-bg: #fdeaec;
  --old: #9c2330; --new: #13713c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171c24; --ground: #10141a; --ink: #e4e9f0; --soft: #a0abbb; --line: #303947;
    --ok: #6fd39a; --ok-bg: #16301f; --note: #8fbdf5; --note-bg: #17273d;
    --warning: #f0bd6b; --warning-bg: #352711; --error: #ff98a1; --error-bg: #3c181d;
    --old: #ff9aa2; --new: #74d69e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .6rem; }
code, .path, .place { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .88em; }
code, td, li, p, summary { overflow-wrap: anywhere; }
.verdict { border-left: 5px solid; border-radius: 6px; padding: .7rem 1rem; margin: 0 0 1rem; font-weight: 600; }
.ok { color: var(--ok); background: var(--ok-bg); }
.note { color: var(--note); background: var(--note-bg); }
.warning { color: var(--warning); background: var(--warning-bg); }
.error { color: var(--error); background: var(--error-bg); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 0 0 1rem; list-style: none; }
.counts li {
  background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .35rem .75rem; min-width: 5.5rem;
}
.counts b { display: block; font-size: 1.25rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.counts .zero { color: var(--soft); }
.counts .zero b { font-weight: 400; }
.counts span { color: var(--soft); font-size: .82rem; }
.box { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; margin: 0 0 .75rem; }
.section { padding: .7rem 1rem; }
.section h2 { margin: 0 0 .4rem; }
.section.error { border-color: var(--error); }
.section.warning { border-color: var(--warning); }
.section.error, .section.warning, .section.note { background: var(--paper); color: inherit; }
.section.error h2 { color: var(--error); }
.section.warning h2 { color: var(--warning); }
.section ul, .extra ul { margin: 0; padding-left: 1.1rem; }
.section li, .extra li { margin: .2rem 0; }
.extra ul { padding: 0 1rem .6rem 2.1rem; }
.remedy { color: var(--soft); white-space: nowrap; }
summary { cursor: pointer; padding: .6rem 1rem; }
summary:focus-visible { outline: 2px solid var(--note); outline-offset: -2px; border-radius: 6px; }
summary .name { font-weight: 600; }
summary .said { color: var(--soft); margin-left: .5rem; }
.entry { border-top: 1px solid var(--line); padding: .6rem 1rem; }
.entry p { margin: 0; }
.mark { display: inline-block; width: 1.3em; font-weight: 700; font-family: ui-monospace, Menlo, Consolas, monospace; }
.create .mark, .adopt .mark { color: var(--new); }
.deactivate .mark, .missing .mark, .bad .mark { color: var(--old); }
.word { font-weight: 600; }
.why, .place, .unverified, .foot { color: var(--soft); }
.outcome { border: 1px solid var(--line); border-radius: 4px; padding: 0 .4em; font-size: .85em; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-top: 1px dotted var(--line); }
thead th { color: var(--soft); font-weight: 500; border-top: 0; font-size: .82rem; }
th.path { font-weight: 400; width: 32%; }
td.old { color: var(--old); width: 30%; }
td.new { color: var(--new); }
.lines { margin: .4rem 0 0; padding: 0; list-style: none; color: var(--soft); }
.entry > .lines:first-child { margin: 0; }
.foot { font-size: .85rem; margin-top: 1.5rem; }
@media (max-width: 40rem) {
  main { padding: 1rem .6rem 2rem; }
  .counts li { flex: 1 1 30%; }
  .remedy { white-space: normal; }
  table, tbody, tr, th.path, td { display: block; width: auto; }
  thead { display: none; }
  tr { border-top: 1px dotted var(--line); padding: .3rem 0; }
  th, td { border: 0; padding: 0; }
  td.old::before { content: attr(data-side) ": "; color: var(--soft); }
  td.new::before { content: attr(data-side) ": "; color: var(--soft); }
  td:empty { display: none; }
}
@media print {
  :root {
    --paper: #fff; --ground: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --ok: #13713c; --ok-bg: #fff; --note: #1f5fa8; --note-bg: #fff;
    --warning: #8a5200; --warning-bg: #fff; --error: #b01e2e; --error-bg: #fff; --old: #9c2330; --new: #13713c;
  }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .entry, .section li, .extra li, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
"""
