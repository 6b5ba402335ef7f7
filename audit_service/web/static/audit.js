// What is nicer with JavaScript. Every page works without it.
"use strict";
(() => {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes(`audit_zone=${zone}`)) {
    document.cookie = `audit_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }

  for (const button of document.querySelectorAll("[data-shows]")) {
    const field = document.getElementById(button.dataset.shows);
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = field.type === "text";
      field.type = shown ? "password" : "text";
      button.setAttribute("aria-pressed", String(!shown));
    });
  }

  for (const hint of document.querySelectorAll("[data-caps-lock-of]")) {
    const field = document.getElementById(hint.dataset.capsLockOf);
    for (const kind of ["keydown", "keyup"]) {
      field.addEventListener(kind, (event) => {
        hint.hidden = !(event.getModifierState && event.getModifierState("CapsLock"));
      });
    }
    field.addEventListener("blur", () => { hint.hidden = true; });
  }

  for (const button of document.querySelectorAll("[data-copies]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent.trim());
      button.textContent = button.dataset.done;
    });
  }

  // In a table the arrows lead from link to link, Home and End to the first and the last one of the row.
  for (const table of document.querySelectorAll("[data-grid]")) {
    table.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      if (!cell || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const row = cell.parentElement;
      const links = [...row.querySelectorAll("a")];
      const at = links.indexOf(event.target);
      const beyond = (step) => {
        for (let next = row[step]; next; next = next[step]) {
          const link = next.cells[cell.cellIndex]?.querySelector("a");
          if (link) return link;
        }
        return null;
      };
      const found = {
        ArrowDown: () => beyond("nextElementSibling"),
        ArrowUp: () => beyond("previousElementSibling"),
        ArrowRight: () => links[at + 1],
        ArrowLeft: () => links[at - 1],
        Home: () => links[0],
        End: () => links.at(-1),
      }[event.key]?.();
      if (!found) return;
      event.preventDefault();
      found.focus();
    });
  }

  // Live: the rows of events that have arrived come from the server, and go on top.
  const EVERY = 3000, AT_MOST = 60000; // milliseconds between two questions; after failures
  const ROWS = 500; // that are kept
  for (const button of document.querySelectorAll("[data-live]")) {
    const body = document.querySelector("#events tbody");
    const said = document.getElementById(button.getAttribute("aria-describedby"));
    let url = button.dataset.live, wait = EVERY, count = 0, timer, isAsking = false;
    const isOn = () => button.getAttribute("aria-pressed") === "true";
    const turn = (on) => { button.setAttribute("aria-pressed", String(on)); };
    const add = (text) => {
      const part = new DOMParser().parseFromString(text, "text/html").querySelector("tbody");
      url = part.dataset.next;
      const rows = [...part.rows];
      if (!body) {
        if (rows.length) location.reload();
        return;
      }
      const known = new Set([...body.querySelectorAll("a[title]")].map((link) => link.getAttribute("href")));
      const fresh = rows.filter((row) => !known.has(row.querySelector("a[title]")?.getAttribute("href")));
      for (const row of fresh) row.classList.add("fresh");
      body.prepend(...fresh);
      while (body.rows.length > ROWS) body.lastElementChild.remove();
      count += fresh.length;
      if (fresh.length) said.textContent = `${said.dataset.text} ${count}`;
    };
    const ask = async () => {
      isAsking = true;
      try {
        const answer = await fetch(url, { headers: { Accept: "text/html" } });
        if (answer.redirected || (answer.status >= 400 && answer.status < 429)) turn(false); // logged out, or not allowed
        else if (!answer.ok) throw new Error(String(answer.status));
        else {
          add(await answer.text());
          wait = EVERY;
        }
      } catch {
        wait = Math.min(2 * wait, AT_MOST);
      }
      isAsking = false;
      later(wait);
    };
    const later = (milliseconds) => {
      clearTimeout(timer);
      if (isOn() && !document.hidden && !isAsking) timer = setTimeout(ask, milliseconds);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      turn(!isOn());
      later(0);
    });
    document.addEventListener("visibilitychange", () => { later(0); });
  }

  addEventListener("beforeprint", () => {
    const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
    for (const time of document.querySelectorAll("[data-printed]")) time.textContent = format.format(new Date());
  });
})();
