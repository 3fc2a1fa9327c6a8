// Cancel, retry, hold, release, drain: asked once more, with a reason, then done.
import { act, rights } from "./api.js";
import { el } from "./dom.js";

export function toast(text) {
  const box = el("div", { cls: "toast" }, text);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 5000);
}
const titles = { cancel: "Cancel", retry: "Retry", hold: "Hold", release: "Release", drain: "Drain", undrain: "Undrain" };
const harmful = new Set(["cancel", "drain"]);

function ask(action, what) {
  const box = document.getElementById("ask");
  return new Promise((resolve) => {
    const reason = el("input", { name: "reason", maxlength: 200, autocomplete: "off", "aria-label": "Reason" });
    const form = el("form", { method: "dialog" }, el("h2", { id: "ask-title" }, `${titles[action]} ${what}?`),
      harmful.has(action) || action === "hold" ? el("label", {}, "Reason, for others to read", reason) : null,
      el("div", { cls: "row" }, el("button", { value: "no" }, "Not now"), el("button", { value: "yes", cls: harmful.has(action) ? "main harm" : "main" }, titles[action])));
    box.replaceChildren(form);
    box.addEventListener("close", () => resolve(box.returnValue === "yes" ? reason.value : null), { once: true });
    box.returnValue = "";
    box.showModal();
  });
}
/// A button that asks and acts. `target`: {jobs: []}, {tasks: []} or {nodes: []}; `done`: called afterwards.
export function button(action, what, target, done) {
  const node = el("button", { type: "button", cls: harmful.has(action) ? "harm" : null, "data-act": action, onclick: async () => {
    const reason = await ask(action, what);
    if (reason === null) return;
    node.disabled = true;
    try {
      const answer = await act({ action, ...target, ...(reason ? { reason } : {}) });
      toast(`${titles[action]}: ${answer.changed} changed`);
      done?.();
    } catch (error) { toast(error.message); }
    node.disabled = false;
  } }, titles[action]);
  rights().then((r) => { if (r.read_only) node.remove(); }, () => {});
  return node;
}
