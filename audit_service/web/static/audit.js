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
})();
