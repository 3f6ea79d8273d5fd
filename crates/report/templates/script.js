// Comfort only: the page is complete without it. Values show at once, also by touch; tables are sorted by a click on a heading;
// a number opens what it was computed from where it stands; a link opens what it leads to.
"use strict";
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const show = (event) => {
    const mark = event.target.closest?.(".hits circle, .hits rect");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.querySelector("title").textContent;
    const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
    const y = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 6);
    tip.style.left = `${Math.max(6, x)}px`;
    tip.style.top = `${Math.max(6, y)}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  // A record's text, without the names that the page already has.
  const record = (key) => {
    const whole = document.getElementById(`record-${key}`)?.parentElement.cloneNode(true);
    if (whole) whole.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
    return whole;
  };
  const keys = (links) => [...links].map((link) => link.getAttribute("href").replace("#record-", ""));
  // Everything that is known of a number: its line in the list of all numbers, and its records.
  const known = (line) => {
    const box = document.createElement("div");
    const list = box.appendChild(document.createElement("dl"));
    const names = [...line.closest("table").tHead.rows[0].cells].map((cell) => cell.textContent);
    [...line.cells].forEach((cell, at) => {
      if (cell.classList.contains("keys")) return;
      const pair = list.appendChild(document.createElement("div"));
      pair.appendChild(document.createElement("dt")).textContent = names[at];
      pair.appendChild(document.createElement("dd")).textContent = cell.textContent;
    });
    keys(line.querySelectorAll(".keys a")).forEach((key) => { const part = record(key); if (part) box.append(part); });
    return box;
  };
  const close = (row) => {
    const next = row.nextElementSibling;
    if (next?.classList.contains("opened")) next.remove();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("td.number a.value, .keys a");
    const row = link?.closest("tr");
    if (!link || !row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = document.getElementById(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    const again = row.nextElementSibling?.dataset.of === link.getAttribute("href");
    close(row);
    if (again) return;
    const opened = document.createElement("tr");
    opened.className = "opened";
    opened.dataset.of = link.getAttribute("href");
    const cell = opened.appendChild(document.createElement("td"));
    cell.colSpan = row.cells.length;
    const parts = link.closest(".keys") ? record(link.getAttribute("href").replace("#record-", "")) : known(target);
    if (parts.tagName === "DETAILS") parts.open = true;
    cell.append(parts);
    row.after(opened);
  });

  // The first number of a cell, or its text.
  const value = (cell) => {
    const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
    const number = parseFloat(text.replace("−", "-"));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  document.querySelectorAll("table.sortable").forEach((table) => {
    const rows = table.tHead.rows;
    const last = [...rows[rows.length - 1].cells];
    const corner = rows.length > 1 ? [rows[0].cells[0]] : [];
    [...corner, ...last].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const rising = heading.getAttribute("aria-sort") !== "ascending";
        table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const body = table.tBodies[0];
        body.querySelectorAll(".opened").forEach((opened) => opened.remove());
        [...body.rows]
          .sort((a, b) => (rising ? 1 : -1) * compare(value(a.cells[column]), value(b.cells[column])))
          .forEach((row) => body.append(row));
      });
    });
  });
})();
