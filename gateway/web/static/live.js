// Keeps a page true: hears of every revision, fetches the page's content again, and says loudly when it can not.
//
// The stream names what changed and never about whom; what is shown always comes from the server, by htmx, so there is
// one place that makes it. A page that silently showed old alerts would be dangerous, so "live" is only claimed while
// events arrive and everything heard of has been fetched.
"use strict";

(() => {
  // The server gives a sign of life every 5 s (gateway/web/watch.py); after three it missed, the line is dead.
  const SILENT_MS = 15_000;
  // A restart takes about a second; a banner for each would teach people to ignore it.
  const BANNER_AFTER_MS = 2_000;
  // Alerts come in bursts; the list is fetched once for all that came meanwhile.
  const REFRESH_EVERY_MS = 1_000;
  const RETRY_MS = 2_000;
  const SAID_AT_ONCE = 3;

  const content = document.getElementById("tw-content");
  const live = document.getElementById("tw-live");
  const liveText = document.getElementById("tw-live-text");
  const lost = document.getElementById("tw-lost");
  const lostSince = document.getElementById("tw-lost-since");
  const said = document.getElementById("tw-said");
  if (!content || !live || !window.htmx || !window.EventSource) {
    return; // the page goes on saying that it is not live
  }

  const onlyAlert = content.dataset.alert ? Number(content.dataset.alert) : null;
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone: "Europe/London",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });

  let stream = null;
  let heardUpTo = Number(live.dataset.after); // the last revision heard of
  let wanted = heardUpTo; // the last one that this page has to show
  let heardAt = new Date();
  let connected = false;
  let fetched = true; // whether the last attempt to fetch the content succeeded
  let refreshedAt = 0;
  let wasLost = false;
  let notices = [];
  let silence, banner, refreshTimer, reconnectTimer;

  const shownUpTo = () => Number(content.querySelector("[data-latest]").dataset.latest);

  function show() {
    const on = connected && fetched;
    live.classList.toggle("tw-live--on", on);
    live.classList.toggle("tw-live--lost", !on && wasLost);
    if (on) {
      clearTimeout(banner);
      banner = undefined;
      lost.hidden = true;
      liveText.textContent = `Live: ${live.dataset.promise}.`;
      if (wasLost) {
        wasLost = false;
        say("The connection is back. This page is live again.");
      }
    } else if (wasLost) {
      liveText.textContent = "Not live: trying to connect again.";
    } else {
      liveText.textContent = "Connecting…";
      banner ??= setTimeout(warn, BANNER_AFTER_MS);
    }
  }

  function warn() {
    wasLost = true;
    lostSince.textContent = clock.format(heardAt);
    lost.hidden = false;
    show();
  }

  function say(sentence) {
    said.textContent = sentence;
  }

  function refresh() {
    if (refreshTimer !== undefined) {
      return;
    }
    const wait = Math.max(0, refreshedAt + REFRESH_EVERY_MS - Date.now());
    refreshTimer = setTimeout(() => {
      refreshTimer = undefined;
      refreshedAt = Date.now();
      window.htmx.trigger(content, "tw:refresh");
    }, wait);
  }

  function refreshFailed() {
    fetched = false;
    show();
    setTimeout(refresh, RETRY_MS);
  }

  content.addEventListener("htmx:before:response", (event) => {
    if (event.detail.ctx.response.raw.status === 401) {
      event.preventDefault();
      window.location.reload(); // nobody is signed in any more: the server says where to sign in
    } else if (!event.detail.ctx.response.raw.ok) {
      event.preventDefault(); // an error page has no place in the list
      refreshFailed();
    }
  });
  content.addEventListener("htmx:error", refreshFailed);
  content.addEventListener("htmx:after:swap", () => {
    const seen = document.getElementById("tw-seen");
    if (seen) {
      seen.value = content.querySelector("[data-revision]").dataset.revision; // what is shown is what notice is taken of
    }
    document.title = content.querySelector("[data-title]").dataset.title;
    if (shownUpTo() < wanted) {
      refresh();
      return;
    }
    fetched = true;
    show();
    if (notices.length > 0) {
      say(notices.length > SAID_AT_ONCE ? `${notices.length} changes to alerts.` : notices.join(" "));
      notices = [];
    }
  });

  function heard(event) {
    heardAt = new Date();
    clearTimeout(silence);
    silence = setTimeout(() => connect(), SILENT_MS);
    if (event.lastEventId) {
      heardUpTo = Number(event.lastEventId);
    }
  }

  function connect() {
    disconnect();
    show();
    stream = new EventSource(`/events?after=${heardUpTo}`);
    silence = setTimeout(() => connect(), SILENT_MS);

    stream.addEventListener("hello", (event) => {
      heard(event);
      connected = true;
      const latest = JSON.parse(event.data).latest_revision;
      if (latest > shownUpTo()) {
        wanted = onlyAlert === null ? Math.max(wanted, latest) : wanted;
        refresh();
      }
      show();
    });
    stream.addEventListener("revision", (event) => {
      heard(event);
      const notice = JSON.parse(event.data);
      if (onlyAlert !== null && notice.alert !== onlyAlert) {
        return;
      }
      wanted = Math.max(wanted, heardUpTo);
      notices.push(`Alert ${notice.alert} ${notice.raised ? "raised" : notice.state}: ${notice.rule}.`);
      if (shownUpTo() < wanted) {
        refresh();
      }
    });
    stream.addEventListener("restored", (event) => {
      heard(event);
      wanted = 0; // numbers begin anew; whatever the server shows now is right
      refresh();
    });
    stream.addEventListener("status", (event) => {
      heard(event);
      const health = document.getElementById("tw-health");
      const fresh = new DOMParser().parseFromString(event.data, "text/html").getElementById("tw-health");
      if (health && fresh && health.innerHTML !== fresh.innerHTML) {
        health.replaceWith(fresh);
      }
    });
    stream.onerror = () => {
      connected = false;
      show();
      if (stream.readyState === EventSource.CLOSED) {
        refresh(); // refused, and the stream does not tell why; the answer to this does
        clearTimeout(reconnectTimer);
        reconnectTimer = setTimeout(() => connect(), RETRY_MS * (1 + Math.random()));
      }
    };
  }

  function disconnect() {
    connected = false;
    clearTimeout(silence);
    clearTimeout(reconnectTimer);
    stream?.close();
    stream = null;
  }

  // A browser holds six connections to a host at most, and a hidden page needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      disconnect();
      clearTimeout(banner);
      banner = undefined;
    } else {
      connect();
    }
  });
  window.addEventListener("pagehide", disconnect);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      connect();
    }
  });
  if (!document.hidden) {
    connect();
  }
})();
