// Keeps the page up to date, adds buttons for copying, and searches while one types. Without it everything works by
// reloading and by the buttons of the forms.
"use strict";

// What a screen reader is told, politely.
function say(text) {
  const live = document.getElementById("live");
  if (text && live && live.textContent !== text) live.textContent = text;
}

function sayWhatIsIn(element) {
  const saying = element.querySelector("[data-say]");
  if (saying) say(saying.dataset.say);
}

// Replaces what an element holds and leaves the focus where it was, as far as that is still there.
function replace(element, html) {
  const held = element.contains(document.activeElement) ? document.activeElement : null;
  const key = held && held.dataset.key;
  const address = held && held.getAttribute("href");
  const open = [...element.querySelectorAll("details")].map((details) => details.open);
  element.innerHTML = html;
  [...element.querySelectorAll("details")].forEach((details, number) => {
    if (number in open) details.open = open[number];
  });
  if (held) {
    const same = [...element.querySelectorAll("[data-key], a[href]")].find((one) =>
      key ? one.dataset.key === key : address && one.getAttribute("href") === address);
    // not to another button: who is about to press a key would press that one
    (same || element).focus({ preventScroll: true });
  }
  addCopyButtons(element);
}

// A press on a button begins and ends on the same button: nothing is replaced in between.
let pressed = false;
let postponed = [];
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, () => setTimeout(() => {
    pressed = false;
    const waiting = postponed;
    postponed = [];
    waiting.forEach((regions) => update(regions));
  }), true);
}

function update(regions) {
  if (pressed) {
    postponed.push(regions);
    return;
  }
  for (const [name, region] of Object.entries(regions)) {
    const element = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
    if (!element || element.dataset.version === region.version) continue;
    replace(element, region.html);
    element.dataset.version = region.version;
    sayWhatIsIn(element);
  }
}

function followEvents() {
  const address = document.body.dataset.events;
  if (!address) return;
  const source = new EventSource(address);
  source.addEventListener("regions", (event) => {
    update(JSON.parse(event.data));
    document.body.dataset.connection = "live";
  });
  source.addEventListener("error", () => {
    document.body.dataset.connection = "lost";
    if (source.readyState === EventSource.CLOSED) say("This page is not kept up to date any more: reload it.");
  });
  // a browser has few connections for one host, and pages that are left keep theirs for a while
  window.addEventListener("pagehide", () => source.close());
}

async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // not allowed on this address: select it, so that one key copies it
    getSelection().selectAllChildren(code);
    say("Selected: copy it with the keyboard.");
    return false;
  }
  say("Copied.");
  return true;
}

function addCopyButtons(within) {
  for (const code of within.querySelectorAll("code.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.dataset.key = "copy " + code.textContent;
    button.textContent = "Copy";
    const what = document.createElement("span");
    what.className = "heard";
    what.textContent = " " + code.textContent;
    button.append(what);
    button.addEventListener("click", async () => {
      if (await copy(code)) button.firstChild.textContent = "Copied";
    });
    code.after(button);
  }
}

function searchWhileTyping() {
  const form = document.getElementById("search");
  const results = document.getElementById("results");
  if (!form || !results) return;
  let timer = 0;
  let latest = 0;
  const search = async () => {
    const number = ++latest;
    const address = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) address.searchParams.set(name, value);
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("results");
      if (number !== latest || !answer.ok || !found) return;
      replace(results, found.innerHTML);
      history.replaceState(null, "", address);
      sayWhatIsIn(results);
    } catch {
      say("The search was not answered: press Search.");
    } finally {
      if (number === latest) results.removeAttribute("aria-busy");
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 250);
  });
}

addCopyButtons(document);
searchWhileTyping();
followEvents();
if (location.hash === "#told") document.getElementById("told")?.focus({ preventScroll: true });
