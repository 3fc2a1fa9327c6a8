// Loads the page's program. One of its files that does not come would leave a dead page: this says so and tries again, with a new page,
// because a browser remembers for the life of a page which modules failed.
"use strict";
(() => {
  const main = document.getElementById("main");
  const app = document.createElement("script");
  app.type = "module";
  app.src = "/page/app.js";
  app.addEventListener("error", () => {
    let tries = 0;
    try { tries = Number(sessionStorage.getItem("tries")) || 0; sessionStorage.setItem("tries", tries + 1); } catch { /* a browser that keeps nothing */ }
    const pause = Math.min(30, 2 ** Math.min(tries, 5));
    const note = document.createElement("p");
    note.className = "trouble sheet";
    note.setAttribute("role", "alert");
    note.textContent = `A part of the page did not come. It is loaded again in ${pause} s.`;
    main.replaceChildren(note);
    setTimeout(() => location.reload(), 1000 * pause);
  });
  app.addEventListener("load", () => { try { sessionStorage.removeItem("tries"); } catch { /* nothing was kept */ } });
  document.head.append(app);
})();
