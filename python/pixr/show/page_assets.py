"""Style and script of the page that plays moments."""

from __future__ import annotations

from typing import Final

__all__ = ["SCRIPT", "STYLE"]

STYLE: Final = """
:root { color-scheme: light dark; --ink: #111827; --faint: #4b5563; --paper: #fff; --card: #f3f4f6; --line: #d1d5db }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f3f4f6; --faint: #9ca3af; --paper: #0b0f17; --card: #161c28; --line: #374151 }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 0 }
h3 { font-size: 1rem; margin: 0 0 .4rem; display: flex; justify-content: space-between; gap: .5rem }
h2, h3 span, .gone p, .part { overflow-wrap: anywhere; min-width: 0 }
.count, .none { color: var(--faint); margin: .1rem 0 .8rem }
.hits { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)) }
.hit { background: var(--card); border-radius: .6rem; overflow: hidden }
video, .gone { display: block; width: 100%; aspect-ratio: 16/9; background: #000; object-fit: contain }
.gone { display: grid; place-items: center; color: #9ca3af } .gone p { margin: 0; padding: .8rem; max-width: 100%;
  box-sizing: border-box }
.refused { margin: 0; padding: .8rem .8rem 0; overflow-wrap: anywhere } a { color: inherit }
.told { padding: .8rem }
.score { float: right; flex: none; font-variant-numeric: tabular-nums; color: var(--faint); font-weight: 400 }
ol, ul { list-style: none; margin: 0; padding: 0 } ol > li { padding: .35rem 0; border-top: 1px solid var(--line) }
button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: .4rem;
  padding: .1rem .5rem; cursor: pointer } button:hover, button[aria-pressed=true] { border-color: currentcolor }
ul li { display: grid; grid-template-columns: 3.5rem 7rem 1fr; gap: .5rem; align-items: baseline; font-size: .85rem;
  margin-top: .25rem }
.bar { height: .5rem; background: var(--line); border-radius: .25rem; overflow: hidden }
.bar i { display: block; height: 100%; background: var(--mode) }
.visual { --mode: #3b82f6 } .text { --mode: #d97706 } .audio { --mode: #059669 }
.part { grid-column: 3; color: var(--faint) }
.said { overflow-wrap: anywhere } mark { background: #fde68a; color: #111827 }
@media print { .hit { break-inside: avoid } h2 { break-after: avoid } .bar, .bar i, mark { print-color-adjust: exact } }
"""

# A moment is played by giving the player a new media fragment: a fragment that is there already would stop playback as
# soon as it goes past its end, wherever it was sent. What can't be played keeps its picture and says so.
SCRIPT: Final = """
const players = document.querySelectorAll('video');
for (const video of players) {
  const hit = video.closest('.hit');
  const refused = hit.querySelector('.refused');
  const source = video.getAttribute('src').split('#')[0];
  const poster = video.getAttribute('poster');
  const buttons = hit.querySelectorAll('button');
  let chosen = buttons[0];
  const press = (pressed) => {
    for (const button of buttons) button.setAttribute('aria-pressed', pressed && button === chosen);
  };
  video.addEventListener('play', () => {
    press(video.currentTime < chosen.dataset.end);
    for (const other of players) if (other !== video) other.pause();
  });
  video.addEventListener('pause', () => press(false));
  video.addEventListener('error', () => {
    press(false);
    if (poster) video.setAttribute('poster', poster);
    refused.hidden = false;
  });
  for (const button of buttons) {
    button.addEventListener('click', () => {
      chosen = button;
      press(true);
      refused.hidden = true;
      video.removeAttribute('poster');
      video.src = `${source}#t=${button.dataset.start},${button.dataset.end}`;
      video.load();
      video.play().catch(() => {});  // the event says so
      video.scrollIntoView({ block: 'nearest' });
    });
  }
}
"""
