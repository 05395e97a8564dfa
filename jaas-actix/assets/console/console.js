// Comfort only: every page works without it.
(() => {
  "use strict";
  // Selects all rows of a table.
  for (const table of document.querySelectorAll("form table")) {
    const boxes = table.querySelectorAll("tbody input[type=checkbox]");
    const head = table.querySelector("thead th");
    if (boxes.length < 2 || !head) continue;
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Select all rows of this page");
    all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
    head.append(all);
  }
  // Lets the keyboard scroll tables that are wider than the window.
  const reach = () => {
    for (const table of document.querySelectorAll("table")) {
      if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
      else table.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("resize", reach);
  // Keeps the age of the numbers true while the page is open.
  for (const shown of document.querySelectorAll("time[data-age]")) {
    const opened = Date.now();
    const text = shown.textContent.replace(/ \(.*/, "");
    setInterval(() => {
      const secs = Math.round((Date.now() - opened) / 1000);
      const age = secs < 120 ? `${secs} s` : secs < 7200 ? `${Math.floor(secs / 60)} min` : `${Math.floor(secs / 3600)} h`;
      shown.textContent = `${text} (${age} ago)`;
    }, 5000);
  }
})();
