const dark = `
  --back: var(--login-qr-background, #161e24);
  --ink: var(--login-qr-color, #e8eef2);
  --soft: #a7b6c0;
  --line: #33414a;
  --fill: #1f2a31;
  --brand: var(--login-qr-accent, var(--hub-accent-dark, #3ecf9d));
  --on-brand: var(--login-qr-on-accent, var(--hub-on-accent-dark, #05261a));
  --warn: #ff9d93;
  --late: #ffb84d;
  color-scheme: dark;`

/** The widget's styles, for a constructed style sheet: the site's policy need not allow inline styles. */
export const style = `
:host {
  display: block;
  width: 100%;
  max-width: 320px;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
:host([hidden]), [hidden] { display: none !important; }
.card {
  --back: var(--login-qr-background, #fff);
  --ink: var(--login-qr-color, #14212b);
  --soft: #55646f;
  --line: #dde4e9;
  --fill: #f5f8fa;
  --brand: var(--login-qr-accent, var(--hub-accent, #0a7a5c));
  --on-brand: var(--login-qr-on-accent, var(--hub-on-accent, #fff));
  --warn: #b3261e;
  --late: #d98200;
  color-scheme: light;
}
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) .card { ${dark} } }
:host([theme="dark"]) .card { ${dark} }
@media (forced-colors: active) {
  .card, :host([theme]) .card, :host(:not([theme="light"])) .card {
    --back: Canvas; --ink: CanvasText; --soft: CanvasText; --line: GrayText; --fill: Canvas;
    --brand: CanvasText; --on-brand: Canvas; --warn: CanvasText; --late: CanvasText;
  }
}
*, *::before, *::after { box-sizing: border-box; }
p { margin: 0; }
.card {
  display: flex; flex-direction: column; align-items: center; gap: 8px;
  min-height: 30.5em; /* every state has room, so that the site's page does not move */
  padding: 20px; border: 1px solid var(--line); border-radius: 16px; outline: none;
  background: var(--back); color: var(--ink); text-align: center;
}
.title { font-size: 1.125em; font-weight: 650; overflow-wrap: anywhere; }
.logo { display: block; max-width: 160px; height: 36px; margin: 0 auto 8px; border-radius: 8px; object-fit: contain; }
.frame { position: relative; width: min(260px, 100%); margin: 4px 0 14px; padding: 10px; }
.tile {
  position: relative; display: grid; grid-template-columns: minmax(0, 1fr); place-items: center;
  overflow: hidden; aspect-ratio: 1; border-radius: 19px; background: var(--fill);
}
.card:is([data-state="pending"], [data-state="expired"]) .tile { background: #fff; }
.code { position: relative; display: block; width: 100%; }
.card[data-state="expired"] .code { opacity: .12; }
.ring { position: absolute; inset: 0; width: 100%; height: 100%; fill: none; pointer-events: none; }
.ring path { stroke-width: 1.5; }
.track { stroke: var(--line); }
.arc { display: none; stroke: var(--brand); stroke-dasharray: 100; stroke-linecap: round; }
.card:is([data-state="pending"], [data-state="scanned"]) .arc {
  display: inline;
  animation: drain var(--total) steps(var(--steps)) var(--gone) both, late var(--total) linear var(--gone) both;
}
.card:is([data-state="confirmed"], [data-state="consumed"]) .arc { display: inline; stroke-width: 2.2; animation: close .5s ease-out; }
@keyframes drain { to { stroke-dashoffset: -100; } }
@keyframes late { 75% { stroke: var(--brand); } 85%, 100% { stroke: var(--late); } }
@keyframes close { from { stroke-dashoffset: 100; } }
.veil {
  position: absolute; inset: 0; display: grid; place-content: center; justify-items: center; gap: 8px;
  border: 0; border-radius: 17px; background: none; color: #14212b; font: inherit; font-weight: 600; cursor: pointer;
}
.veil::before { content: "\\21bb"; display: grid; place-items: center; width: 56px; height: 56px; border-radius: 18px; background: #14212b; color: #fff; font-size: 30px; }
.user { display: grid; grid-template-columns: minmax(0, 1fr); justify-items: center; gap: 4px; max-width: 100%; padding: 0 14px; }
.initial { position: relative; display: grid; place-items: center; width: 76px; height: 76px; margin-bottom: 10px; border-radius: 24px; background: var(--brand); color: var(--on-brand); font-size: 2em; font-weight: 600; animation: arrive .35s ease-out; }
.initial::before { content: ""; position: absolute; inset: 0; border-radius: inherit; border: 3px solid var(--brand); opacity: 0; animation: wave .9s ease-out; }
.picture { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: inherit; background: var(--back); object-fit: cover; }
.name { display: -webkit-box; overflow: hidden; max-width: 100%; font-weight: 650; line-height: 1.3; overflow-wrap: anywhere; unicode-bidi: plaintext; -webkit-box-orient: vertical; -webkit-line-clamp: 5; }
.user small { min-height: 1.5em; color: var(--soft); font-size: .875em; }
.tick { position: absolute; inset-inline-end: -10px; bottom: -10px; display: none; width: 34px; height: 34px; border: 3px solid var(--fill); border-radius: 50%; background: var(--brand); fill: none; stroke: var(--on-brand); stroke-width: 2.8; stroke-linecap: round; stroke-linejoin: round; animation: arrive .3s ease-out; }
.card:is([data-state="confirmed"], [data-state="consumed"]) .tick { display: block; }
.sign { width: 80px; height: 80px; fill: none; stroke: var(--warn); stroke-width: 2.6; stroke-linecap: round; stroke-linejoin: round; }
.card:is([data-state="confirmed"], [data-state="consumed"]) .sign { stroke: var(--brand); }
.sign path { display: none; }
.card[data-state="rejected"] .rejected, .card[data-state="error"] .error, .card[data-state="confirmed"] .confirmed, .card[data-state="consumed"] .consumed { display: inline; }
.tick path, .sign path { stroke-dasharray: 1; animation: draw .4s ease-out .15s backwards; }
.spoken { position: absolute; overflow: hidden; width: 1px; height: 1px; clip-path: inset(50%); white-space: nowrap; }
/* The three corners of a code, while there is none. */
.wait {
  width: 78%; aspect-ratio: 1; animation: pulse 1.6s ease-in-out infinite;
  background: conic-gradient(var(--line) 0 0) 0 0 / 30% 30%, conic-gradient(var(--line) 0 0) 100% 0 / 30% 30%, conic-gradient(var(--line) 0 0) 0 100% / 30% 30%;
  background-repeat: no-repeat;
}
.match { display: flex; align-items: center; gap: 12px; padding: 4px 14px; border: 1px solid var(--line); border-radius: 12px; background: var(--fill); text-align: start; }
.match strong { color: var(--brand); font-size: 1.9em; font-variant-numeric: tabular-nums; }
.status, .hint { width: 100%; }
.status { font-weight: 600; overflow-wrap: anywhere; }
.mark { width: 1.4em; height: 1.4em; margin-inline-end: .4em; fill: var(--brand); vertical-align: -.35em; }
.marks:has(> :nth-child(2)) { display: block; }
.hint { color: var(--soft); font-size: .875em; white-space: pre-line; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.here .frame { display: none; }
.here { min-height: 0; }
.hint:empty, .time:empty { display: none; }
.time {
  position: absolute; z-index: 1; bottom: 1px; left: 50%; transform: translate(-50%, 50%); padding: 1px 10px; border-radius: 999px;
  background: var(--back); color: var(--soft); font-size: .8125em; font-variant-numeric: tabular-nums; white-space: nowrap;
}
.button { min-height: 44px; padding: 6px 22px; border: 0; border-radius: 11px; background: var(--brand); color: var(--on-brand); font: inherit; font-weight: 600; line-height: 32px; text-decoration: none; cursor: pointer; }
.card[data-state="scanned"] .button { border: 1px solid var(--line); background: var(--fill); color: var(--ink); }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 2px; }
.veil:focus-visible { outline-color: #14212b; outline-offset: -8px; }
@keyframes arrive { from { transform: scale(.7); opacity: 0; } }
@keyframes wave { from { opacity: .7; } to { transform: scale(1.55); opacity: 0; } }
@keyframes draw { from { stroke-dashoffset: 1; } }
@keyframes pulse { 50% { opacity: .35; } }
/* Browsers put the page's own background behind every text. */
@media (forced-colors: active) { .initial, .card .button { border: 2px solid CanvasText; background: Canvas; color: CanvasText; } }
@media (prefers-reduced-motion: reduce) {
  *:not(.arc), *::before { animation: none !important; }
  .arc { animation-timing-function: steps(12) !important; }
}
`
