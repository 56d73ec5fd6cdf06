const dark = `
  --back: var(--login-qr-background, #161e24);
  --ink: var(--login-qr-color, #e8eef2);
  --soft: #a7b6c0;
  --line: #33414a;
  --fill: #1f2a31;
  --brand: var(--login-qr-accent, #3ecf9d);
  --on-brand: var(--login-qr-on-accent, #05261a);
  --warn: #ff9d93;
  color-scheme: dark;`

/** The widget's styles, for a constructed style sheet: the site's policy need not allow inline styles. */
export const style = `
:host {
  --back: var(--login-qr-background, #fff);
  --ink: var(--login-qr-color, #14212b);
  --soft: #55646f;
  --line: #dde4e9;
  --fill: #f5f8fa;
  --brand: var(--login-qr-accent, #0a7a5c);
  --on-brand: var(--login-qr-on-accent, #fff);
  --warn: #b3261e;
  color-scheme: light;
  display: block;
  width: 100%;
  max-width: 320px;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
:host([hidden]), [hidden] { display: none !important; }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { ${dark} } }
:host([theme="dark"]) { ${dark} }
*, *::before, *::after { box-sizing: border-box; }
p { margin: 0; }
.card {
  display: flex; flex-direction: column; align-items: center; gap: 8px;
  padding: 20px; border: 1px solid var(--line); border-radius: 16px; outline: none;
  background: var(--back); color: var(--ink); text-align: center;
}
.title { font-size: 1.125em; font-weight: 650; overflow-wrap: anywhere; }
.tile {
  position: relative; display: grid; grid-template-columns: minmax(0, 1fr); place-items: center;
  width: min(232px, 100%); aspect-ratio: 1; margin: 4px 0;
  border: 1px solid var(--line); border-radius: 14px; background: var(--fill);
}
.card[data-state="pending"] .tile, .card[data-state="expired"] .tile { background: #fff; }
.code { display: block; max-width: 100%; height: auto; border-radius: 13px; }
.card[data-state="expired"] .code { opacity: .12; }
.veil {
  position: absolute; inset: 0; display: grid; place-content: center; justify-items: center; gap: 8px;
  border: 0; border-radius: 13px; background: none; color: #0b3d30; font: inherit; font-weight: 600; cursor: pointer;
}
.veil::before { content: "\\21bb"; display: grid; place-items: center; width: 56px; height: 56px; border-radius: 50%; background: #0a7a5c; color: #fff; font-size: 30px; }
.user { display: grid; grid-template-columns: minmax(0, 1fr); justify-items: center; gap: 10px; max-width: 100%; padding: 0 14px; }
.initial { display: grid; place-items: center; width: 76px; height: 76px; border-radius: 50%; background: #0a6c6a; color: #fff; font-size: 2em; font-weight: 600; animation: arrive .35s ease-out; }
.name { display: -webkit-box; overflow: hidden; max-width: 100%; font-weight: 650; line-height: 1.3; overflow-wrap: anywhere; unicode-bidi: plaintext; -webkit-box-orient: vertical; -webkit-line-clamp: 5; }
.sign { font-size: 72px; line-height: 1; color: var(--warn); }
.card[data-state="consumed"] .sign { color: var(--brand); }
.wait { width: 40px; height: 40px; border: 4px solid var(--line); border-top-color: var(--brand); border-radius: 50%; animation: turn 1s linear infinite; }
.match { display: flex; align-items: center; gap: 12px; padding: 4px 14px; border: 1px solid var(--line); border-radius: 12px; background: var(--fill); text-align: start; }
.match strong { color: var(--brand); font-size: 1.9em; font-variant-numeric: tabular-nums; }
.status { max-width: 100%; font-weight: 600; overflow-wrap: anywhere; }
.mark { width: 1.4em; height: 1.4em; margin-inline-end: .4em; fill: var(--brand); vertical-align: -.35em; }
.marks:has(> :nth-child(2)) { display: block; }
.hint, .time { max-width: 100%; color: var(--soft); font-size: .875em; white-space: pre-line; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.here .tile { display: none; }
.hint:empty, .time:empty { display: none; }
.time { font-variant-numeric: tabular-nums; }
.button { min-height: 44px; padding: 6px 22px; border: 0; border-radius: 11px; background: var(--brand); color: var(--on-brand); font: inherit; font-weight: 600; line-height: 32px; text-decoration: none; cursor: pointer; }
.card[data-state="scanned"] .button { border: 1px solid var(--line); background: var(--fill); color: var(--ink); }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 2px; }
@keyframes arrive { from { transform: scale(.7); opacity: 0; } }
@keyframes turn { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
`
