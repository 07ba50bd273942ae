"use strict";
// Brings the page up to date: every part of it that may have changed is taken from the page as it is now. By the clock, and
// sooner when the WebSocket says that something has happened. Without this script the page is as whole, and as old as it is.
(() => {
  const every = 5000;
  const soon = 400;
  const longest = 60000;
  let timer = 0;
  let busy = false;
  let again = false;
  let pause = every;

  const later = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(refresh, ms);
  };

  function replace(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const open = [...old.querySelectorAll("details[open]")].map((it) => it.id);
    const scrolled = [...old.querySelectorAll(".scroll")].map((it) => it.scrollLeft);
    old.replaceWith(fresh);
    for (const id of open) {
      const it = document.getElementById(id);
      if (it) it.open = true;
    }
    fresh.querySelectorAll(".scroll").forEach((it, at) => (it.scrollLeft = scrolled[at] || 0));
    if (focused) {
      const same = [...fresh.querySelectorAll("a, summary, .scroll")].find(
        (it) =>
          it.tagName === focused.tagName &&
          it.getAttribute("href") === focused.getAttribute("href") &&
          it.getAttribute("aria-label") === focused.getAttribute("aria-label"),
      );
      if (same) same.focus();
    }
  }

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    if (document.hidden) return later(every);
    busy = true;
    try {
      const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
      // Signed out: the page itself leads to the sign-in, and back.
      if (answer.type === "opaqueredirect") return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = now.getElementById(old.id);
        if (!fresh) continue;
        const key = fresh.dataset.live;
        if (key === "" ? fresh.outerHTML !== old.outerHTML : key !== old.dataset.live) replace(old, fresh);
      }
      pause = every;
    } catch {
      pause = Math.min(pause * 2, longest);
    } finally {
      busy = false;
    }
    later(again ? soon : pause);
    again = false;
  }

  async function listen(wait) {
    const again = () => setTimeout(() => listen(Math.min(wait * 2, longest)), wait);
    try {
      const form = new URLSearchParams(new FormData(document.getElementById("live")));
      const answer = await fetch("studio/ticket", { method: "POST", body: form, redirect: "manual" });
      // Signed out, which the clock finds, too; or signed in anew in another tab, and this page's form counts no more.
      if (answer.type === "opaqueredirect" || answer.status === 403) return;
      if (!answer.ok) throw new Error(String(answer.status));
      const socket = new WebSocket((await answer.json()).url);
      const ping = () => socket.readyState === 1 && socket.send('{"action":"ping"}');
      const pings = setInterval(ping, 300000);
      socket.onopen = () => {
        wait = 1000;
        // A message that was sent to it before it was open found nobody, and it is forgotten; by this it is noted again.
        ping();
      };
      socket.onmessage = (message) => {
        if (!message.data.includes('"pong"')) later(soon);
      };
      socket.onclose = () => {
        clearInterval(pings);
        again();
      };
    } catch {
      // The clock goes on meanwhile.
      again();
    }
  }

  document.addEventListener("visibilitychange", () => document.hidden || later(0));
  later(every);
  listen(1000);
})();
